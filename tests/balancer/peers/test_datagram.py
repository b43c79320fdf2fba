"""Bytes there and back, and whatever else comes over the network."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.peers.datagram import (
    MAX_BYTES,
    MAX_COUNT,
    MAX_ENTRIES,
    DatagramError,
    decode,
    encode,
    key_of,
)

U64 = st.integers(0, (1 << 64) - 1)
ENTRIES = st.lists(st.tuples(U64, st.integers(0, MAX_COUNT)), max_size=3 * MAX_ENTRIES)


@given(U64, st.integers(0, 1 << 63), ENTRIES)
def test_there_and_back(sender: int, sequence: int, entries: list[tuple[int, int]]) -> None:
    datagrams = encode(sender, sequence, entries)
    told = [decode(data) for data in datagrams]
    assert [entry for d in told for entry in zip(d.keys, d.counts, strict=True)] == entries
    assert [d.sequence for d in told] == list(range(sequence, sequence + len(told)))
    assert {d.sender for d in told} == {sender}
    assert max(map(len, datagrams)) <= MAX_BYTES
    assert len(datagrams) == max(1, -(-len(entries) // MAX_ENTRIES))


@given(st.binary(max_size=1500))
def test_any_bytes_are_taken_or_refused(data: bytes) -> None:
    try:
        decode(data)
    except DatagramError as error:
        assert str(error)  # noqa: PT017 - either way is fine, another exception is not


@given(ENTRIES.filter(bool), st.data())
def test_a_flipped_byte_or_a_lost_end_is_taken_or_refused(
    entries: list[tuple[int, int]], data: st.DataObject
) -> None:
    whole = bytearray(encode(1, 2, entries)[0])
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(whole)))
    for damaged in (bytes(whole), bytes(whole[:cut])):
        try:
            found = decode(damaged)
        except DatagramError:
            continue
        assert len(found.keys) == len(found.counts) <= MAX_ENTRIES


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda d: d[:10], "10 bytes are no datagram"),
        (lambda d: b"HTTP" + d[4:], "another protocol"),
        (lambda d: d[:4] + b"\x09" + d[5:], "version 9"),
        (lambda d: d + b"x", "37 bytes are no datagram"),
        (lambda d: d[:-1], "35 bytes are no datagram"),
        (lambda d: d + d[-12:], "1 entries in 48 bytes"),
        (lambda d: d[:6] + b"\0\x63" + d[8:24] + bytes(99 * 12), "1212 bytes are no datagram"),
    ],
)
def test_why_it_is_refused(change: object, why: str) -> None:
    (data,) = encode(1, 2, [(3, 4)])
    with pytest.raises(DatagramError, match=why):
        decode(change(data))  # type: ignore[operator] # a lambda of bytes


def test_what_does_not_fit_is_the_most_that_does() -> None:
    assert decode(encode(1, 2, [(3, MAX_COUNT + 5)])[0]).counts == [MAX_COUNT]


def test_a_key_is_the_same_everywhere() -> None:
    assert key_of("cluster1/10.0.0.1:8000") == 0x7BDD36E86D40C1AD
    assert key_of("cluster1/10.0.0.1:8000") != key_of("cluster2/10.0.0.1:8000")
