"""What this balancer has to tell. Pure: shared memory and time are arguments.

At once what has changed; once a second all that is not zero, and what has become zero since, in
case a datagram was lost or somebody is new. Nobody is told of a target that has left: what was told
of it is forgotten by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import ne
from typing import Final

REPEAT_S: Final = 1.0  # who heard nothing of an entry for three times as long forgets it

Entries = list[tuple[int, int]]  # (key, count)


class News:
    """`rows`: the pending counts of each process of this balancer, by slot."""

    def __init__(self, rows: Sequence[memoryview]) -> None:
        self._rows = rows
        self._keys: list[int | None] = []  # by slot
        self._seen: list[bytes] = []  # the rows when they were last looked at
        self._told: list[int] = []  # sums by slot
        self._ended: set[int] = set()  # slots that have become zero since the last repetition
        self._repeat_at = 0.0

    def place(self, key: int, slot: int) -> None:
        """A target joins."""
        missing = slot + 1 - len(self._keys)
        self._keys += [None] * missing
        self._told += [0] * missing
        self._keys[slot] = key
        self._told[slot] = 0
        self._seen = []

    def remove(self, slot: int) -> None:
        """A target leaves. What is still pending there is nobody's business any more."""
        if slot < len(self._keys):
            self._keys[slot] = None
            self._ended.discard(slot)

    def repeat(self) -> None:
        """Somebody is new: tell all next time."""
        self._repeat_at = 0.0

    def due(self, now: float) -> Entries | None:
        """What is to be told now; None: nothing, [] : that this balancer is there."""
        repeat = now >= self._repeat_at
        size = len(self._keys)
        rows = [bytes(row[:size]) for row in self._rows]
        if rows == self._seen and not repeat:
            return None
        self._seen = rows
        pending = _sums(rows)
        changed = list(compress(range(size), map(ne, pending, self._told)))
        self._told = pending
        self._ended.update(slot for slot in changed if not pending[slot])
        if not repeat:
            return self._entries(changed) or None
        self._repeat_at = now + REPEAT_S
        slots = self._ended.union(compress(range(size), pending))
        self._ended.clear()
        return self._entries(sorted(slots))

    def _entries(self, slots: Sequence[int]) -> Entries:
        keys, told = self._keys, self._told
        return [(key, told[slot]) for slot in slots if (key := keys[slot]) is not None]


def _sums(rows: Sequence[bytes]) -> list[int]:
    """By slot, over all rows."""
    lists = [memoryview(row).cast("q").tolist() for row in rows]
    return lists[0] if len(lists) == 1 else list(map(sum, zip(*lists, strict=True)))
