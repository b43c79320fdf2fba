"""One timer for all connections: each says by when, a sweep looks in on everyone once a period.

Setting a deadline is one attribute, so a request costs no timer. A deadline is kept to within
`PERIOD_S`; the connections are spread over `SLICES` so that no sweep holds the loop for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

PERIOD_S: Final = 1.0
SLICES: Final = 10
STANDSTILL_S: Final = 0.5  # a sweep that comes later than this tells that the process did not run
NEVER: Final = float("inf")


class Watched(Protocol):
    """What a sweep needs of a connection."""

    deadline: float  # in the clock's seconds

    def expired(self, now: float) -> None:
        """The deadline has passed; called again a period later unless it was moved."""


class Deadlines:
    """Watches connections. `now` is the time of the last sweep: coarse, and free to read."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        on_sweep: Callable[[float], None],
        period_s: float = PERIOD_S,
    ) -> None:
        self.now = clock()
        self._loop = loop
        self._clock = clock
        self._on_sweep = on_sweep
        self.interval_s = period_s / SLICES
        self._slices: tuple[set[Watched], ...] = tuple(set() for _ in range(SLICES))
        self._turn = 0
        self._next_slice = 0
        self._late = False
        self._timer: asyncio.TimerHandle | None = loop.call_later(self.interval_s, self._sweep)

    def watch(self, one: Watched) -> int:
        """Look after `one` from now on; the number is what `forget` wants back."""
        self._turn = (self._turn + 1) % SLICES
        self._slices[self._turn].add(one)
        return self._turn

    def forget(self, one: Watched, place: int) -> None:
        """No longer look after it."""
        self._slices[place].discard(one)

    def everyone(self) -> list[Watched]:
        """All that are looked after now."""
        return [one for part in self._slices for one in part]

    def every(self, period_s: float) -> None:
        """Look in on every connection once in this time from now on."""
        self.interval_s = period_s / SLICES

    def close(self) -> None:
        """Stop sweeping."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(self.interval_s, self._sweep)
        before, now = self.now, self._clock()
        self.now = now
        self._on_sweep(now)
        # libuv looks at its timers before its sockets: after a standstill, what would be called
        # late may have been here for long. So the sockets come first, once.
        self._late = not self._late and now - before > self.interval_s + STANDSTILL_S
        if self._late:
            return
        self._next_slice = (self._next_slice + 1) % SLICES
        due = [one for one in self._slices[self._next_slice] if one.deadline <= now]
        for one in due:
            one.expired(now)
