"""A time-out that a machine which is kept from running does not turn against the other side.

libuv looks at its timers before its sockets. A process that did not run for as long as its time-out
would find that timer first and the answer, which had long been there, never. So when the time is
up, the loop may look at the sockets once more.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

LATE_S: Final = 0.01  # after the time is up


class Patience:
    """Like `asyncio.timeout(timeout_s)`: `async with`, and TimeoutError when it takes too long."""

    __slots__ = ("_limit", "_timeout_s", "_timer")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._limit = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        limit = self._limit
        await limit.__aenter__()
        self._timer = loop.call_later(
            self._timeout_s, lambda: limit.reschedule(loop.time() + LATE_S)
        )

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)
