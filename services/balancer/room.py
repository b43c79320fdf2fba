"""Room in a cluster: how many requests it has pending, how many it may have, and who waits.

A request that finds every target full, or the cluster, waits in a bounded queue for a bounded time
(HAProxy's maxconn, maxqueue and `timeout queue`) instead of overrunning the targets. First come,
first served; those that already run notice nothing. Time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from services.balancer.config import Queue


class Waiter(Protocol):
    """A request that waits. It is told once what became of it."""

    def place(self) -> None:
        """There may be room: try again. It may have to wait again."""
        ...

    def waited_too_long(self) -> None:
        """There was none in time."""
        ...


class Room:
    """One cluster's, in one process.

    `own` counts this process's pending requests; `cell` is where it is shared, and `others` where
    the other processes share theirs. The limit may be overrun by one for each of those. `wake` is
    called when somebody waits and a place has become free.
    """

    __slots__ = ("_again", "cell", "limit", "others", "own", "rules", "waiting", "wake")

    def __init__(self, limit: int = 0, rules: Queue | None = None) -> None:
        self.own = 0
        self.limit = limit  # 0: none
        self.rules = rules or Queue()
        self.waiting: deque[tuple[float, Waiter]] = deque()  # until when, in the order of arrival
        self.wake: Callable[[], None] = _nobody
        self.cell: memoryview | list[int] = [0]
        self.others: Sequence[memoryview | list[int]] = ()
        self._again: float | None = None  # who is placed again keeps the time that it has waited

    def __repr__(self) -> str:
        return f"<Room {self.own} pending, {len(self.waiting)} waiting>"

    @property
    def full(self) -> bool:
        """At the limit of the whole cluster."""
        if not self.limit:
            return False
        return self.own + sum(other[0] for other in self.others) >= self.limit

    def join(self, waiter: Waiter, now: float) -> bool:
        """Stand in line; False when the line is full."""
        if self._again is not None:  # it was the first of the line
            self.waiting.appendleft((self._again, waiter))
            self._again = None
            return True
        if len(self.waiting) >= self.rules.size:
            return False
        self.waiting.append((now + self.rules.wait_s, waiter))
        return True

    def leave(self, waiter: Waiter) -> None:
        """It waits no more: its client has left."""
        self.waiting = deque(entry for entry in self.waiting if entry[1] is not waiter)

    def serve(self) -> None:
        """Try again with those who wait, until the first who must wait on."""
        for _ in range(len(self.waiting)):
            if not self.waiting:
                return
            self._again, waiter = self.waiting.popleft()
            others = len(self.waiting)
            waiter.place()
            if len(self.waiting) > others:  # it had to join again
                return
            self._again = None

    def expire(self, now: float) -> int:
        """Send away those who have waited too long; returns how many."""
        count = 0
        while self.waiting and self.waiting[0][0] <= now:
            _, waiter = self.waiting.popleft()
            waiter.waited_too_long()
            count += 1
        return count


def _nobody() -> None:
    """Nobody is to be woken."""
