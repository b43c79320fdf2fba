"""Signals as the commands of this room understand them.

The first INT, TERM or HUP cancels the work, which then stops what it has started, in order. A
second one means "now": `hurry` is set, and what is still running is killed. Either way the exit
code is 128 + the first signal (130 for Ctrl-C).
"""

from __future__ import annotations

import asyncio
import functools
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from orchestrator.local.guard import PASSED_ON, allow_signals


class Interrupt:
    """Whether the user wants to stop, and how much."""

    def __init__(self) -> None:
        self.hurry = asyncio.Event()
        self.received: list[signal.Signals] = []
        self._gently: asyncio.Event | None = None

    @contextmanager
    def gently(self) -> Iterator[asyncio.Event]:
        """Inside, the first signal sets the event that this yields and cancels nothing."""
        self._gently = asyncio.Event()
        try:
            yield self._gently
        finally:
            self._gently = None

    def on_signal(self, work: asyncio.Task[int], number: signal.Signals) -> None:
        """Take note, and stop the work: at the first signal in order, at the second now."""
        self.received.append(number)
        if len(self.received) > 1:
            self.hurry.set()
        if self._gently is not None and not self._gently.is_set():
            self._gently.set()
        elif len(self.received) == 1 or self._gently is not None:
            work.cancel()


def run(work: Callable[[Interrupt], Coroutine[Any, Any, int]]) -> int:
    """Run the work to its end; its exit code, or 128 + the signal that stopped it."""
    return asyncio.run(_run(work))


async def _run(work: Callable[[Interrupt], Coroutine[Any, Any, int]]) -> int:
    interrupt = Interrupt()
    task = asyncio.ensure_future(work(interrupt))
    loop = asyncio.get_running_loop()
    for number in PASSED_ON:
        loop.add_signal_handler(number, functools.partial(interrupt.on_signal, task, number))
    allow_signals()
    try:
        code = await task
    except asyncio.CancelledError:
        if not interrupt.received:
            raise
        code = 0
    return 128 + interrupt.received[0] if interrupt.received else code
