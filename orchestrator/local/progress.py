"""What the user sees while he waits: a bar on a terminal, plain lines anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

PLAIN_EVERY_S: Final = 2.0  # a log wants news, not motion


class Stage:
    """One stage under way."""

    def __init__(self, console: Console, text: str, bar: Progress | None) -> None:
        self._console = console
        self._bar = bar
        self._task = bar.add_task(text, total=None, note="") if bar else None
        self._began = time.monotonic()
        self._said = self._began
        self._note = ""

    def show(self, done: float, total: float, note: str) -> None:
        """So much of the whole; `note` says it in words."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=note)
            self._bar.refresh()
            return
        now = time.monotonic()
        if note != self._note and now - self._said >= PLAIN_EVERY_S:
            self._said, self._note = now, note
            self._console.print(f"    {note}", highlight=False, soft_wrap=True)

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began


class Stages:
    """The stages of a command, one after the other, each ended by a line that stays."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def say(self, text: str, *, style: str = "") -> None:
        """A line that stays."""
        self.console.print(text, style=style or None, highlight=False, soft_wrap=True)

    @contextmanager
    def stage(self, text: str, done: str) -> Iterator[Stage]:
        """A stage called `text`; when it ends well, `done` stays with the time that it took."""
        if not self.console.is_terminal:
            self.say(f"  {text} ...")
            stage = Stage(self.console, text, None)
            yield stage
        else:
            columns = (
                TextColumn("  {task.description}"),
                BarColumn(bar_width=24),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
            )
            # No refresh thread: it would be one more thing to stop.
            with Progress(
                *columns, console=self.console, transient=True, auto_refresh=False
            ) as bar:
                stage = Stage(self.console, text, bar)
                bar.refresh()
                yield stage
        self.say(f"  {done} ({stage.elapsed_s:.1f} s)", style="green")
