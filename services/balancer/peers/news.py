"""What this balancer has to tell. Pure: shared memory and time are arguments.

At once what has changed; once a second all that is not zero, and what has become zero since, in
case a datagram was lost or somebody is new. Nobody is told of a target that has left: what was told
of it is forgotten by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from operator import ne
from struct import Struct
from typing import Final

REPEAT_S: Final = 1.0  # who heard nothing of an entry for three times as long forgets it

_BLOCK: Final = 16  # slots that are looked at together
_CELLS: Final = Struct(f"{_BLOCK}q")

Entries = list[tuple[int, int]]  # (key, count)


class News:
    """`rows`: the pending counts of each process of this balancer, by slot; whole blocks of them.

    A round in which little has changed is cheap: rows are compared as bytes, then in blocks, and
    numbers are made of the blocks that differ alone.
    """

    def __init__(self, rows: Sequence[memoryview]) -> None:
        self._rows = rows
        self._keys: list[int | None] = []  # by slot; as many as fill blocks
        self._told: list[int] = []  # sums by slot
        self._cut = Struct("")  # a row into blocks
        self._seen: list[bytes] = []  # the rows when they were last looked at; empty: anew
        self._ended: set[int] = set()  # slots that have become zero since the last repetition
        self._repeat_at = 0.0
        self.changes = 0  # sums that were others than were told

    def place(self, key: int, slot: int) -> None:
        """A target joins."""
        if slot >= len(self._keys):
            blocks = slot // _BLOCK + 1
            missing = blocks * _BLOCK - len(self._keys)
            self._keys += [None] * missing
            self._told += [0] * missing
            self._cut = Struct(f"{_CELLS.size}s" * blocks)
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
        """What is to be told now; None: nothing, []: that this balancer is there."""
        changed = self._changes()
        self.changes += len(changed)
        self._ended.update(slot for slot in changed if not self._told[slot])
        if now < self._repeat_at:
            return self._entries(changed) or None
        self._repeat_at = now + REPEAT_S
        slots = self._ended.union(compress(range(len(self._told)), self._told))
        self._ended.clear()
        return self._entries(sorted(slots))

    def _changes(self) -> list[int]:
        """The slots whose sums are others than were told; now they are told."""
        size = len(self._keys)
        rows = [bytes(row[:size]) for row in self._rows]
        if rows == self._seen:
            return []
        count = size // _BLOCK
        blocks: set[int] = set()
        if not self._seen:
            blocks.update(range(count))
        for row, seen in zip(rows, self._seen, strict=False):
            if row != seen:
                differ = map(ne, self._cut.unpack(row), self._cut.unpack(seen))
                blocks.update(compress(range(count), differ))
        self._seen = rows
        changed: list[int] = []
        for block in sorted(blocks):
            cells = [_CELLS.unpack_from(row, block * _CELLS.size) for row in rows]
            sums = cells[0] if len(cells) == 1 else tuple(map(sum, zip(*cells, strict=True)))
            start = block * _BLOCK
            for slot in compress(range(_BLOCK), map(ne, sums, self._told[start : start + _BLOCK])):
                self._told[start + slot] = sums[slot]
                changed.append(start + slot)
        return changed

    def _entries(self, slots: Sequence[int]) -> Entries:
        keys, told = self._keys, self._told
        return [(key, told[slot]) for slot in slots if (key := keys[slot]) is not None]
