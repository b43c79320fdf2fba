"""Choices by someone who knows what no balancer can: the marks that policies are measured against.

Neither is a bound: they do not know the work to come.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from random import Random

from loadtest.arena.machine import Machine, Mode
from loadtest.arena.request import Attempt


class ShortestExpectedDelay:
    """Shortest expected delay with true speeds, true pending and no delay in knowing either.

    The expected time of a request of mean work that joins n others on c cores of speed s is in
    proportion to max(1, (n + 1) / c) / s. An index of that is kept up to date by the machines, so
    that a choice costs O(log n). Ties are broken by chance.
    """

    def __init__(self, machines: Sequence[Machine], rng: Random) -> None:
        self._rng = rng
        self._heap: list[tuple[float, float, int, Machine]] = []
        self._version: dict[int, int] = {}
        for machine in machines:
            self.admit(machine)

    def admit(self, machine: Machine) -> None:
        """`machine` may be chosen from now on."""
        machine.watch = self._changed
        self._changed(machine)

    def bar(self, machine: Machine) -> None:
        """No more."""
        machine.watch = None
        self._version.pop(machine.index, None)

    def choose(self) -> Machine | None:
        """The machine for the next request; None when there is none."""
        heap = self._heap
        version = self._version
        while heap:
            _, _, made, machine = heap[0]
            if version.get(machine.index) == made:
                return machine
            heappop(heap)
        return None

    def ended(self, attempt: Attempt, now: float) -> None:
        """An attempt ended."""

    def _changed(self, machine: Machine) -> None:
        made = self._version.get(machine.index, 0) + 1
        self._version[machine.index] = made
        heappush(self._heap, (expected_delay(machine), self._rng.random(), made, machine))


def expected_delay(machine: Machine) -> float:
    """Of one request of mean work 1 more; infinite where none gets through."""
    if machine.speed <= 0.0 or machine.mode is not Mode.UP:
        return float("inf")
    share = (machine.pending + machine.coming + 1) / machine.cores
    return (share if share > 1.0 else 1.0) / machine.speed
