"""Targets by cost, the cheapest at hand: a heap whose entries are put right when they come up.

A target that becomes dearer is found to be so when it would be taken; one that becomes cheaper is
listed again. So each request costs O(log n) among ten thousand targets, where looking at all costs
O(n), and the choice is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Final

from services.balancer.target import Target

_A_TIE: Final = 1.0 + 1e-9  # what rounding adds is no rise


class Index:
    """Each target is listed once at what it costs; among equals the one listed first goes first."""

    __slots__ = ("_heap", "_listed", "_listings")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Target]] = []  # with entries that hold no more
        self._listed: dict[Target, float] = {}
        self._listings = 0

    def __len__(self) -> int:
        return len(self._listed)

    def add(self, target: Target, cost: float) -> None:
        """A target that was not listed."""
        self._list(target, cost)

    def targets(self) -> list[Target]:
        """All that are listed."""
        return list(self._listed)

    def drop(self, target: Target) -> None:
        """A target that is to be taken no more; its entry goes when it comes up."""
        self._listed.pop(target, None)

    def cheaper(self, target: Target, cost: float) -> None:
        """What a listed target costs now; nothing happens when that is more than before."""
        listed = self._listed.get(target)
        if listed is not None and cost < listed:
            self._list(target, cost)

    def cheapest(self, cost_of: Callable[[Target, float], float], now: float) -> Target | None:
        """The target that costs least; None while none is listed. `cost_of`: what one costs now."""
        heap, listed = self._heap, self._listed
        while heap:
            cost, _, target = heap[0]
            if listed.get(target) != cost:
                heappop(heap)
                continue
            dearer = cost_of(target, now)
            if dearer <= cost or dearer <= cost * _A_TIE:
                return target
            listed[target] = dearer
            self._listings += 1
            heapreplace(heap, (dearer, self._listings, target))
        return None

    def _list(self, target: Target, cost: float) -> None:
        self._listed[target] = cost
        self._listings += 1
        heappush(self._heap, (cost, self._listings, target))
        if len(self._heap) > 64 + 4 * len(self._listed):
            self._heap = [entry for entry in self._heap if self._listed.get(entry[2]) == entry[0]]
            heapify(self._heap)
