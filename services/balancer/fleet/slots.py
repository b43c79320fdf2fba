"""Which column of the ledger belongs to which target.

A slot that was given back rests until every data-plane process has dropped its target: for a grace
time, and as long as requests are still pending there (a long download outlives its membership).
"""

from __future__ import annotations

import heapq
from typing import Final

from services.balancer.ledger import SLOTS, Ledger

GRACE_S: Final = 5.0  # a picture reaches the data planes within milliseconds; a stuck one is killed


class Slots:
    """Lowest free slot first, so that untouched memory stays untouched. Time is an argument."""

    def __init__(self, ledger: Ledger, *, slots: int = SLOTS, grace_s: float = GRACE_S) -> None:
        self._ledger = ledger
        self._slots = slots
        self._grace_s = grace_s
        self._fresh = 0  # slots from here on were never given out by this process
        self._free: list[int] = []
        self._held: set[int] = set()
        self._resting: list[tuple[float, int]] = []  # (until, slot)

    def __repr__(self) -> str:
        return f"<Slots {len(self._held)} held, {len(self._resting)} resting>"

    def hold(self, slot: int) -> bool:
        """Keep a slot that a target had before this process began; False when it is taken."""
        if slot in self._held or not 0 <= slot < self._slots:
            return False
        self._held.add(slot)
        return True

    def take(self, now: float) -> int | None:
        """A slot with all its cells zero, or None when every one is held or resting."""
        self._wake(now)
        while True:
            slot = self._next()
            if slot is None:
                return None
            if self._ledger.pending_total(slot):  # its target is gone, its requests are not
                self._rest(slot, now)
                continue
            if any(self._ledger.target_totals(slot)):
                self._ledger.zero_target(slot)
            self._held.add(slot)
            return slot

    def give_back(self, slot: int, now: float) -> None:
        """The target is gone."""
        self._held.discard(slot)
        self._rest(slot, now)

    def _rest(self, slot: int, now: float) -> None:
        heapq.heappush(self._resting, (now + self._grace_s, slot))

    def _wake(self, now: float) -> None:
        while self._resting and self._resting[0][0] <= now:
            heapq.heappush(self._free, heapq.heappop(self._resting)[1])

    def _next(self) -> int | None:
        if self._free:
            return heapq.heappop(self._free)
        while self._fresh in self._held:
            self._fresh += 1
        if self._fresh >= self._slots:
            return None
        self._fresh += 1
        return self._fresh - 1
