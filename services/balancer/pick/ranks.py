"""Targets by a number that changes now and then: who has the lowest, all of those who share it.

A change costs O(log n) among ten thousand targets, and a look nothing; the targets tell.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final

from services.balancer.load import Load
from services.balancer.target import Target

_SPARE: Final = 64  # numbers that nobody has any more, before they are cleared away


class Ranks:
    """Who has which number."""

    __slots__ = ("_groups", "_heap", "_places")

    def __init__(self) -> None:
        self._groups: dict[float, list[Target]] = {}  # none is empty
        self._places: dict[Target, tuple[float, int]] = {}  # its number, its place in that group
        self._heap: list[float] = []  # all numbers that somebody has, and some that nobody has

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, target: Target) -> bool:
        return target in self._places

    @property
    def numbers(self) -> int:
        """How many different ones there are."""
        return len(self._groups)

    def put(self, target: Target, number: float) -> None:
        """It has this number from now on."""
        if target in self._places:
            if self._places[target][0] == number:
                return
            self.drop(target)
        group = self._groups.get(number)
        if group is None:
            group = self._groups[number] = []
            heappush(self._heap, number)
        self._places[target] = (number, len(group))
        group.append(target)

    def drop(self, target: Target) -> None:
        """It has none any more, if it had one."""
        if target not in self._places:
            return
        number, place = self._places.pop(target)
        group = self._groups[number]
        last = group.pop()
        if last is not target:
            group[place] = last
            self._places[last] = (number, place)
        if not group:
            del self._groups[number]
            if len(self._heap) > _SPARE + 4 * len(self._groups):
                self._heap = list(self._groups)
                heapify(self._heap)

    def lowest(self) -> list[Target]:
        """All who have the lowest number, in no order; nobody when nobody has one."""
        heap, groups = self._heap, self._groups
        while heap:
            group = groups.get(heap[0])
            if group is not None:
                return group
            heappop(heap)
        return []


class Ranked:
    """A policy that goes by a number of each target: what it is told."""

    def told(self, target: Target) -> None:
        """The target's number may have changed."""
        raise NotImplementedError


class Telling(Load):
    """Tells its policy when a probe or a report came."""

    __slots__ = ("_policy", "_target")

    def __init__(self, policy: Ranked, target: Target) -> None:
        super().__init__()
        self._policy = policy
        self._target = target

    def fresh(self) -> Telling:
        """Of the same policy."""
        return Telling(self._policy, self._target)

    def reported(
        self, pending: float | None, latency_s: float | None, cpu: float | None, now: float
    ) -> None:
        """With an answer."""
        super().reported(pending, latency_s, cpu, now)
        self._policy.told(self._target)

    def probed(
        self,
        latency_s: float | None,
        pending: float | None,
        cpu: float | None,
        now: float,
        cloudwatch_cpu: float | None = None,
    ) -> None:
        """With a probe."""
        super().probed(latency_s, pending, cpu, now, cloudwatch_cpu)
        self._policy.told(self._target)
