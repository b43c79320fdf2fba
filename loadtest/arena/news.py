"""Balancers that tell each other what they have pending, as services/balancer/peers does.

Every `every_s` each tells all the others what has changed; that arrives `delay_s` later and is
believed until the next. What came and went in between nobody hears of.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import add, sub
from typing import Final

from loadtest.arena.events import Events

HANDLING_S: Final = 0.0005  # to reckon, send and take in a message, besides the network's delay

Rows = Sequence[list[int]]


class News:
    """`rows`: by balancer, the pending counts of its processes. `heard`: by balancer, others'."""

    def __init__(self, rows: Sequence[Rows]) -> None:
        machines = len(rows[0][0])
        self._rows = rows
        self._told = [[0] * machines for _ in rows]
        self.heard = [[0] * machines for _ in rows]

    def start(self, events: Events, every_s: float, delay_s: float) -> None:
        """Balancers tell in turn: their clocks know nothing of each other."""

        def tell(now: float, balancer: int) -> None:
            changes = self._changes(balancer)
            if changes:
                events.at(now + delay_s, self._take, (balancer, changes))
            events.at(now + every_s, tell, balancer)

        for balancer in range(len(self._rows)):
            events.at(every_s * balancer / len(self._rows), tell, balancer)

    def _changes(self, balancer: int) -> list[tuple[int, int]]:
        """(machine, more pending than was told) for each that differs."""
        first, *more = self._rows[balancer]
        pending = first
        for row in more:
            pending = list(map(add, pending, row))
        told = self._told[balancer]
        if pending == told:
            return []
        changed = list(map(sub, pending, told))
        self._told[balancer] = list(pending)
        return [(machine, count) for machine, count in enumerate(changed) if count]

    def _take(self, _: float, about: tuple[int, list[tuple[int, int]]]) -> None:
        teller, changes = about
        for balancer, row in enumerate(self.heard):
            if balancer != teller:
                for machine, more in changes:
                    row[machine] += more
