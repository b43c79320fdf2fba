"""What a run is at: each thing with its state and seconds, as a table that lives on a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.aws.wait import Report
from orchestrator.deploy.resource import Key

_A_SECOND: Final = 4  # how often the table is drawn
_AT_REST: Final = frozenset({"waits", "kept", "there", "failed", "stopped"})
_STYLES: Final = {"there": "green", "failed": "red", "stopped": "yellow", "kept": "dim"}


@dataclass(frozen=True, slots=True)
class Turn:
    """A thing has come to a state, so many seconds after its step began."""

    key: Key
    state: str
    seconds: float = 0.0


Show = Callable[[Turn], None]


def unseen(_turn: Turn) -> None:
    """Show nothing."""


class Things:
    """The last turn of each thing, in the order of their coming. Safe from any thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._turns: dict[Key, tuple[Turn, float]] = {}

    def turn(self, turn: Turn) -> None:
        """Note it."""
        with self._lock:
            self._turns[turn.key] = (turn, self._clock())

    def __rich__(self) -> Table:
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(3):
            table.add_column("", no_wrap=True)
        table.add_column("", justify="right", no_wrap=True)
        now = self._clock()
        with self._lock:
            turns = list(self._turns.values())
        for turn, since in turns:
            if turn.state == "kept":
                continue
            seconds = turn.seconds + (0 if turn.state in _AT_REST else now - since)
            shown = Text(turn.state, style=_STYLES.get(turn.state, ""))
            took = "" if turn.state == "waits" else f"{seconds:.0f} s"
            table.add_row(turn.key.kind, turn.key.name, shown, took)
        return table


@contextmanager
def shown(console: Console) -> Iterator[tuple[Report, Show]]:
    """Where to report lines and turns: a table on a terminal, the lines alone elsewhere."""

    def line(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    if not console.is_terminal:
        yield line, unseen
        return
    things = Things(time.monotonic)

    def said(text: str) -> None:
        """The table says what begins; what is missing in a wait it does not."""
        if not text.startswith(("create ", "change ")):
            line(text)

    with Live(things, console=console, refresh_per_second=_A_SECOND):
        yield said, things.turn
