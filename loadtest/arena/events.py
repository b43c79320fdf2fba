"""The simulator's clock: what happens next, and of two at once the one asked for first."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, Final

NEVER_S: Final = float("inf")


class Events:
    """Calls that are due. Times are seconds from the start of the simulated run."""

    __slots__ = ("_asked", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Callable[[float, Any], None], Any]] = []
        self._asked = 0

    def at(self, time_s: float, call: Callable[[float, Any], None], about: Any = None) -> None:
        """At `time_s`, call `call(time_s, about)`. `time_s` must not lie in the past."""
        self._asked = asked = self._asked + 1  # breaks ties, so that a seed has one answer
        heappush(self.heap, (time_s, asked, call, about))

    def run_until(self, end_s: float) -> None:
        """Make every call that is due before `end_s`."""
        heap = self.heap
        while heap and heap[0][0] < end_s:
            time_s, _, call, about = heappop(heap)
            call(time_s, about)
