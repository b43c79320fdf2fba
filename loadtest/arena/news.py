"""Balancers that tell each other what is pending, in rounds, as services/balancer/peers does it.

In each round of its own a balancer hears what has come since the last and tells all the others what
has changed. What came and went between two rounds nobody hears of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from operator import add, sub
from typing import Final

from loadtest.arena.events import Events

HANDLING_S: Final = 0.0002  # to reckon, send and take in a message, besides the network's delay

Rows = Sequence[list[int]]
Changes = list[tuple[int, int]]  # (machine, how many more are pending than was told)


class News:
    """`rows`: by balancer, the pending counts of its processes. `heard`: by balancer, others'."""

    def __init__(self, rows: Sequence[Rows]) -> None:
        machines = len(rows[0][0])
        self._rows = rows
        self._told = [[0] * machines for _ in rows]
        self._coming: list[deque[tuple[float, Changes]]] = [deque() for _ in rows]
        self.heard = [[0] * (machines + 1) for _ in rows]  # and how old that is, as in the ledger

    def start(self, events: Events, every_s: float, delay_s: float) -> None:
        """Balancers have their rounds in turn: their clocks know nothing of each other."""

        def turn(now: float, balancer: int) -> None:
            self._hear(balancer, now)
            changes = self._changes(balancer)
            if changes:
                for other, coming in enumerate(self._coming):
                    if other != balancer:
                        coming.append((now + delay_s, changes))
            events.at(now + every_s, turn, balancer)

        for balancer in range(len(self._rows)):
            self.heard[balancer][-1] = int((every_s + delay_s) * 1e6)
            events.at(every_s * balancer / len(self._rows), turn, balancer)

    def _hear(self, balancer: int, now: float) -> None:
        coming, row = self._coming[balancer], self.heard[balancer]
        while coming and coming[0][0] <= now:
            for machine, more in coming.popleft()[1]:
                row[machine] += more

    def _changes(self, balancer: int) -> Changes:
        first, *others = self._rows[balancer]
        pending = first
        for row in others:
            pending = list(map(add, pending, row))
        told = self._told[balancer]
        if pending == told:
            return []
        changed = list(map(sub, pending, told))
        self._told[balancer] = list(pending)
        return [(machine, count) for machine, count in enumerate(changed) if count]
