"""A blocking call in a thread of its own that nobody has to wait for.

asyncio's own threads are joined at the end of the process, so one that hangs in a name look-up
would hold up a drain. These are not: the process ends, and they with it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from threading import Thread
from typing import TypeVar

R = TypeVar("R")


async def in_thread(work: Callable[[], R], name: str) -> R:
    """What `work` returns or raises. Cancelling stops the wait, not the thread."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[R] = loop.create_future()

    def run() -> None:
        try:
            done = partial(_settle, future, work())
        except Exception as error:  # noqa: BLE001 - handed on whole to the one who waits
            done = partial(_fail, future, error)
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(done)

    Thread(target=run, name=name, daemon=True).start()
    return await future


def _settle(future: asyncio.Future[R], value: R) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[R], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
