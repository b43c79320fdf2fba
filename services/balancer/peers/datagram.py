"""One datagram: a part of what a balancer has pending, by target. Pure.

    magic (4 bytes) | version (1) | reserved (1) | entries n (2) | sender (8) | sequence (8) |
    n x key (8) | n x count (4), all numbers big-endian

Counts are absolute: the sender's pending requests at the target now, over all its processes. The
sender's number is drawn anew at each start; its sequence only rises. No answer is expected.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

MAX_BYTES: Final = 1_200  # below any path's MTU, as QUIC's datagrams (RFC 9000, 14)
MAX_COUNT: Final = (1 << 32) - 1

_MAGIC: Final = b"SYPD"
_VERSION: Final = 1
_HEAD: Final = "!4sBxHQQ"
_HEAD_BYTES: Final = struct.calcsize(_HEAD)
_ENTRY_BYTES: Final = 12
MAX_ENTRIES: Final = (MAX_BYTES - _HEAD_BYTES) // _ENTRY_BYTES
# By the number of entries; to read one of them at a time would be half of what hearing costs.
_WHOLE: Final = [struct.Struct(f"{_HEAD}{size}Q{size}I") for size in range(MAX_ENTRIES + 1)]


class DatagramError(ValueError):
    """Not one of ours; the message is why."""


class Datagram(NamedTuple):
    """What one says: `counts[i]` requests pending at the target of `keys[i]`."""

    sender: int
    sequence: int
    keys: Sequence[int]
    counts: Sequence[int]


def key_of(target_id: str) -> int:
    """The key of the target `<cluster>/<host>:<port>`: 64 bits, the same in every balancer."""
    return int.from_bytes(blake2b(target_id.encode(), digest_size=8).digest())


def encode(sender: int, sequence: int, entries: Sequence[tuple[int, int]]) -> list[bytes]:
    """`entries` (key, count) as datagrams, numbered from `sequence`; one when there are none."""
    return [
        _encode(sender, sequence + number, entries[start : start + MAX_ENTRIES])
        for number, start in enumerate(range(0, max(len(entries), 1), MAX_ENTRIES))
    ]


def _encode(sender: int, sequence: int, entries: Sequence[tuple[int, int]]) -> bytes:
    size = len(entries)
    keys, counts = zip(*entries, strict=True) if size else ((), ())
    if size and max(counts) > MAX_COUNT:
        counts = tuple(min(count, MAX_COUNT) for count in counts)
    return _WHOLE[size].pack(_MAGIC, _VERSION, size, sender, sequence, *keys, *counts)


def decode(data: bytes) -> Datagram:
    """The reverse. Raises DatagramError, whatever the bytes are."""
    size, odd = divmod(len(data) - _HEAD_BYTES, _ENTRY_BYTES)
    if odd or not 0 <= size <= MAX_ENTRIES:
        raise DatagramError(f"{len(data)} bytes are no datagram")
    magic, version, said, sender, sequence, *values = _WHOLE[size].unpack(data)
    if magic != _MAGIC:
        raise DatagramError("another protocol")
    if version != _VERSION:
        raise DatagramError(f"version {version}")
    if said != size:
        raise DatagramError(f"{said} entries in {len(data)} bytes")
    return Datagram(sender, sequence, values[:size], values[size:])
