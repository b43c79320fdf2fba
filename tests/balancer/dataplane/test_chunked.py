"""Chunked bodies against RFC 9112, 7.1: what is good passes unchanged, what is not never passes."""

from __future__ import annotations

import contextlib
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.dataplane.chunked import (
    MAX_LINE_BYTES,
    MAX_TRAILER_BYTES,
    BadChunk,
    ChunkedBody,
)

steady = settings(derandomize=True, deadline=None, max_examples=200)

EXTENSIONS: Final = (b"", b"", b";a", b";a=b", b';a="q\\";"', b";a;b=1;c")
TRAILERS: Final = (b"", b"Digest: x\r\n", b"Server-Timing: db;dur=1\r\nX-Empty:\r\n")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body on the wire, and its payload."""
    wire = b""
    payload = b""
    for chunk in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=6)):
        size = draw(st.sampled_from((b"%x", b"%X", b"000%x"))) % len(chunk)
        wire += size + draw(st.sampled_from(EXTENSIONS)) + b"\r\n" + chunk + b"\r\n"
        payload += chunk
    wire += draw(st.sampled_from((b"0", b"000", b"0;last"))) + b"\r\n"
    return wire + draw(st.sampled_from(TRAILERS)) + b"\r\n", payload


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """`data` cut at the given places."""
    at = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(at)]


places = st.lists(st.integers(0, 10_000), max_size=20)


@given(bodies(), places, st.binary(max_size=30), st.booleans())
@steady
def test_a_body_passes_however_it_is_cut(
    body: tuple[bytes, bytes], cuts: list[int], after: bytes, payload_only: bool
) -> None:
    """RFC 9112, 7.1. The bytes go on as they came, or without framing; the next message is left."""
    wire, payload = body
    follower = ChunkedBody(payload_only=payload_only)
    out = b""
    unread = b""
    for piece in pieces(wire + after, cuts):
        if follower.done:
            unread += piece
        else:
            out += follower.feed(piece)
    assert follower.done
    assert out == (payload if payload_only else wire)
    assert follower.rest + unread == after


@given(bodies())
@steady
def test_a_body_passes_byte_by_byte_and_is_done_with_its_last(body: tuple[bytes, bytes]) -> None:
    """No byte too early, none too late."""
    wire, payload = body
    raw = ChunkedBody()
    bare = ChunkedBody(payload_only=True)
    out = b""
    for at in range(len(wire)):
        assert not raw.done
        assert not bare.done
        raw.feed(wire[at : at + 1])
        out += bare.feed(wire[at : at + 1])
    assert raw.done
    assert bare.done
    assert out == payload


def test_payload_goes_on_before_its_chunk_is_whole() -> None:
    """Streaming: nothing of a long chunk waits here."""
    follower = ChunkedBody()
    assert follower.feed(b"fffff\r\nabc") == b"fffff\r\nabc"
    assert follower.feed(b"def") == b"def"
    assert not follower.done


def test_an_unfinished_size_line_does_not_go_on() -> None:
    """What is not known to be good is held."""
    follower = ChunkedBody()
    assert follower.feed(b"5") == b""
    assert follower.feed(b"\r") == b""
    assert follower.feed(b"\n") == b"5\r\n"


MALFORMED: Final = {
    "7.1 empty size": b"\r\n",
    "7.1 size is no hex": b"g\r\n",
    "7.1 size has a prefix": b"0x5\r\nhello\r\n",
    "7.1 size has a sign": b"+5\r\nhello\r\n",
    "7.1 negative size": b"-5\r\nhello\r\n",
    "7.1 size with an underscore": b"1_0\r\n",
    "7.1 space before the size": b" 5\r\nhello\r\n",
    "7.1 space after the size": b"5 \r\nhello\r\n",
    "7.1 size of 16 digits": b"0000000000000005\r\nhello\r\n",
    "7.1 size that overflows": b"ffffffffffffffffff\r\n",
    "7.1 size line ends in LF": b"5\nhello\r\n",
    "7.1 size line ends in CR CR LF": b"5\r\r\nhello\r\n",
    "7.1 bare CR in the size line": b"5\r;a\r\nhello\r\n",
    "7.1 no CRLF after the data": b"5\r\nhello0\r\n\r\n",
    "7.1 LF after the data": b"5\r\nhello\n0\r\n\r\n",
    "7.1 CR and another after the data": b"5\r\nhello\rx",
    "7.1 data longer than the size": b"4\r\nhello\r\n",
    "7.1 data shorter than the size": b"6\r\nhello\r\n0\r\n\r\n",
    "7.1.1 extension without a name": b"5;\r\nhello\r\n",
    "7.1.1 extension without a value": b"5;a=\r\nhello\r\n",
    "7.1.1 extension name is no token": b"5;a b\r\nhello\r\n",
    "7.1.1 quoted value not closed": b'5;a="b\r\nhello\r\n',
    "7.1.1 quoted value closed twice": b'5;a="b"c"\r\nhello\r\n',
    "7.1.1 quoted pair of a control": b'5;a="\\\x01"\r\nhello\r\n',
    "7.1.1 LF in an extension": b"5;a\nb\r\nhello\r\n",
    "7.1.1 NUL in an extension": b"5;a\x00\r\nhello\r\n",
    "7.1.1 extension too long": b"5;" + b"a" * MAX_LINE_BYTES + b"\r\nhello\r\n",
    "7.1.1 long extensions of small chunks": (b"1;" + b"a" * 200 + b"\r\nx\r\n") * 100,
    "7.1.1 short extensions of small chunks": b"1;aaaaaaaaaaaaaaaaa=b\r\nx\r\n" * 5000,
    "7.1.2 trailer without a colon": b"0\r\nabc\r\n\r\n",
    "7.1.2 trailer name ends in a space": b"0\r\nabc : d\r\n\r\n",
    "7.1.2 folded trailer": b"0\r\na: b\r\n c\r\n\r\n",
    "7.1.2 NUL in a trailer": b"0\r\na: \x00\r\n\r\n",
    "7.1.2 trailer ends in LF": b"0\r\na: b\n\r\n",
    "7.1.2 bare CR in a trailer": b"0\r\na: b\rc\r\n\r\n",
    "7.1.2 body ends in LF": b"0\r\n\n",
    "7.1.2 trailer too long": b"0\r\na: " + b"b" * MAX_TRAILER_BYTES + b"\r\n\r\n",
    "7.1.2 too many trailers": b"0\r\n" + b"a: bcdef\r\n" * 1000 + b"\r\n",
    "9110 6.5.1 Content-Length": b"0\r\nContent-Length: 5\r\n\r\n",
    "9110 6.5.1 transfer-encoding": b"0\r\ntransfer-encoding: chunked\r\n\r\n",
    "9110 6.5.1 HOST": b"0\r\nHOST: a\r\n\r\n",
    "9110 6.5.1 Connection": b"0\r\nConnection: close\r\n\r\n",
    "9110 6.5.1 Authorization": b"0\r\na: b\r\nAuthorization: x\r\n\r\n",
    "9110 6.5.1 Set-Cookie": b"0\r\nSet-Cookie: a=b\r\n\r\n",
}


def feed_by_byte(wire: bytes, *, payload_only: bool) -> None:
    """Every byte by itself."""
    follower = ChunkedBody(payload_only=payload_only)
    for at in range(len(wire)):
        follower.feed(wire[at : at + 1])


@pytest.mark.parametrize("payload_only", [False, True], ids=["raw", "payload"])
@pytest.mark.parametrize("wire", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_bodies_are_refused(wire: bytes, payload_only: bool) -> None:
    """RFC 9112, 7.1 (ids name the section): in one piece, and byte by byte."""
    with pytest.raises(BadChunk):
        ChunkedBody(payload_only=payload_only).feed(wire)
    with pytest.raises(BadChunk):
        feed_by_byte(wire, payload_only=payload_only)


GOOD: Final = {
    "7.1 nothing": (b"0\r\n\r\n", b""),
    "7.1 many zeros": (b"000000000000000\r\n\r\n", b""),
    "7.1 payload looks like an end": (b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"),
    "7.1.2 trailer whose name begins like one forbidden": (b"0\r\nhostess: a\r\n\r\n", b""),
    "7.1.2 trailer of obs-text": (b"0\r\na: \xff\r\n\r\n", b""),
}


@pytest.mark.parametrize(("wire", "payload"), GOOD.values(), ids=GOOD.keys())
def test_unusual_but_good_bodies_pass(wire: bytes, payload: bytes) -> None:
    """RFC 9112, 7.1."""
    raw = ChunkedBody()
    assert raw.feed(wire) == wire
    assert raw.done
    assert ChunkedBody(payload_only=True).feed(wire) == payload


@pytest.mark.parametrize("payload_only", [False, True], ids=["raw", "payload"])
def test_trailers_of_this_hop_do_not_go_on(payload_only: bool) -> None:
    """RFC 9110, 6.5.1 and 7.6.1: nor do those that Connection named."""
    own = (
        *(b"X-Forwarded-For: 1.2.3.4\r\n", b"forwarded: for=1\r\n", b"X-Request-ID: 7\r\n"),
        *(b"Keep-Alive: a\r\n", b"x-real-ip: 1\r\n", b"X-One: 1\r\n"),
    )
    follower = ChunkedBody(frozenset({b"x-one"}), payload_only=payload_only)
    out = follower.feed(b"0\r\n" + b"A: b\r\n".join(own) + b"X-One-More: c\r\n\r\nrest")
    assert follower.done
    assert follower.rest == b"rest"
    kept = b"0\r\n" + b"A: b\r\n" * 5 + b"X-One-More: c\r\n\r\n"
    assert out == (b"" if payload_only else kept)


def test_extensions_with_space_in_them_do_not_go_on() -> None:
    """RFC 9112, 7.1.1: there are parsers that refuse it."""
    wire = b'1 ;\ta =\t"b;\\""\r\nx\r\n0001;b="c d"\r\ny\r\n0; a\r\n\r\n'
    assert ChunkedBody().feed(wire) == b"1\r\nx\r\n0001\r\ny\r\n0\r\n\r\n"
    assert ChunkedBody(payload_only=True).feed(wire) == b"xy"


def test_extensions_in_proportion_to_the_data_pass() -> None:
    """Signed chunks are long; one byte a chunk, without extensions, is legitimate, too."""
    signed = b"1000;chunk-signature=" + b"f" * 64 + b"\r\n" + bytes(4096) + b"\r\n"
    follower = ChunkedBody()
    for _ in range(1000):
        assert follower.feed(signed) == signed
    assert ChunkedBody().feed(b"1\r\nx\r\n" * 50_000) == b"1\r\nx\r\n" * 50_000


def test_the_longest_lines_that_pass() -> None:
    """The bounds themselves are still served; one byte more is not."""
    line = b"0;" + b"a" * (MAX_LINE_BYTES - 4) + b"\r\n"
    assert len(line) == MAX_LINE_BYTES
    assert ChunkedBody().feed(line) == line
    trailer = b"a:" + b"b" * (MAX_TRAILER_BYTES - 6) + b"\r\n"
    follower = ChunkedBody()
    follower.feed(b"0\r\n" + trailer + b"\r\n")
    assert follower.done
    with pytest.raises(BadChunk):
        ChunkedBody().feed(b"0\r\n" + b"c" + trailer + b"\r\n")


tokens = st.sampled_from(
    (
        b"0",
        b"5",
        b"a",
        b"\r\n",
        b"\r",
        b"\n",
        b";",
        b"=",
        b'"',
        b"\\",
        b" ",
        b":",
        b"\x00",
        b"hello",
    )
)
garbage = st.one_of(st.binary(max_size=300), st.lists(tokens, max_size=60).map(b"".join))


@given(garbage, places, st.booleans())
@steady
def test_garbage_is_refused_or_waits(data: bytes, cuts: list[int], payload_only: bool) -> None:
    """Any bytes: BadChunk or nothing, the same however they are cut, and not a byte invented."""

    def run(cut: list[bytes]) -> tuple[str, bytes]:
        follower = ChunkedBody(payload_only=payload_only)
        out = b""
        for piece in cut:
            if follower.done:
                break
            try:
                out += follower.feed(piece)
            except BadChunk:
                return "bad", b""  # how much went on before depends on the cut
        return ("done" if follower.done else "waits"), out

    whole = run([data])
    assert run(pieces(data, cuts)) == whole
    if not payload_only and b";" not in data:  # extensions and some trailers do not go on
        assert data.startswith(whole[1])


@pytest.mark.parametrize("start", [b"", b"5;", b"0\r\n", b"0\r\na: "], ids=repr)
@pytest.mark.parametrize("filler", [b"1", b"\r", b" ", b"a"], ids=repr)
def test_what_waits_here_is_bounded(start: bytes, filler: bytes) -> None:
    """A line that never ends is given up at its bound: in - out stays below it."""
    follower = ChunkedBody()
    held = len(start)
    with contextlib.suppress(BadChunk):
        held -= len(follower.feed(start))
        for _ in range(2 * MAX_TRAILER_BYTES):
            held += 1 - len(follower.feed(filler))
    assert held <= MAX_TRAILER_BYTES
    if not start.startswith(b"0"):
        assert held <= MAX_LINE_BYTES
