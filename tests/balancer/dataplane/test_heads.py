"""Heads that come again: found, not read; never more of them than fit; none that outlives its
configuration."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import Limits, Respond, RouteConfig
from services.balancer.dataplane.heads import HEAD_BYTES, HEADS, Heads, RequestHead, ResponseHead
from services.balancer.dataplane.http1 import parse_request_fields, parse_response_fields
from services.balancer.dataplane.request_ids import RequestIds
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.target import Request, StubTarget, plain


def test_neither_many_heads_nor_long_ones_fill_the_memory() -> None:
    heads: Heads[int] = Heads()
    for number in range(3 * HEADS):
        heads.keep(b"%d" % number, number)
        assert 1 <= len(heads.known) <= HEADS
        assert heads.known[b"%d" % number] == number
    heads.keep(b"x" * HEAD_BYTES, 1)
    heads.keep(b"x" * (HEAD_BYTES + 1), 2)
    assert heads.known[b"x" * HEAD_BYTES] == 1
    assert b"x" * (HEAD_BYTES + 1) not in heads.known


def test_each_client_has_its_own_lines() -> None:
    """What is remembered of one client is never sent for another."""
    fields = parse_request_fields(b"Host: a\r\n", 9)
    head = RequestHead(b"GET / HTTP/1.1\r\n", b"GET", 1, fields, None, usual=True)
    for lines in (b"Via: one\r\n", b"Via: one\r\n", b"Via: other\r\n", b"Via: one\r\n"):
        assert head.ahead_of(lines) == b"GET / HTTP/1.1\r\nHost: a\r\n" + lines


@pytest.mark.parametrize(
    ("status", "minor", "section", "left", "reusable"),
    [
        (200, 1, b"Content-Length: 7\r\n", 7, True),
        (200, 1, b"Content-Length: 0\r\nConnection: close\r\n", 0, False),
        (200, 0, b"Content-Length: 7\r\n", 7, False),
        (200, 0, b"Content-Length: 7\r\nConnection: keep-alive\r\n", 7, True),
        (200, 1, b"Transfer-Encoding: chunked\r\n", -1, True),
        (200, 1, b"", -1, True),
        (204, 1, b"Content-Length: 7\r\n", -1, True),
        (304, 1, b"Content-Length: 7\r\n", -1, True),
        (103, 1, b"Content-Length: 7\r\n", -1, True),
    ],
)
def test_a_response_head_says_what_follows(
    status: int, minor: int, section: bytes, left: int, *, reusable: bool
) -> None:
    line = b"HTTP/1.%d %d x\r\n" % (minor, status)
    head = ResponseHead(line, status, minor, parse_response_fields(section, 9))
    assert (head.left, head.reusable) == (left, reusable)
    assert head.whole == b"HTTP/1.1 %d x\r\n" % status + head.fields.onward + b"\r\n"


@given(st.integers(0, 2**64 - 1))
def test_request_ids_are_unlike_each_other(seed: int) -> None:
    ids = RequestIds(seed)
    taken = [ids.take() for _ in range(700)]
    assert len(set(taken)) == len(taken)
    assert all(each.startswith(b"%016x-" % seed) for each in taken)


async def test_the_same_request_is_read_once() -> None:
    async with StubTarget(plain()) as one, data_plane(one) as stand:
        for _ in range(2):
            wire = await stand.connect()
            for _ in range(2):
                assert (await wire.get())[0] == 200
        assert len(stand.plane.request_heads.known) == 1
        assert len(stand.plane.response_heads.known) == 1
        await (await stand.connect()).get(extra="A: b\r\n")
        assert len(stand.plane.request_heads.known) == 2


async def test_the_same_bytes_go_another_way_after_a_reload() -> None:
    async with StubTarget(plain()) as one, data_plane(one) as stand:
        wire = await stand.connect()
        _, _, body = await wire.get()
        assert body != b"moved"
        moved = RouteConfig(path="/c", respond=Respond(text="moved"))
        stand.plane.configure(replace(configuration(), routes=(moved,)))
        assert (await wire.get())[2] == b"moved"


async def test_the_same_bytes_are_too_many_after_a_reload() -> None:
    async with StubTarget(plain()) as one, data_plane(one) as stand:
        wire = await stand.connect()
        assert (await wire.get(extra=f"A: {'b' * 600}\r\n"))[0] == 200
        stand.plane.configure(configuration(limits=Limits(head_bytes=512)))
        assert (await wire.get(extra=f"A: {'b' * 600}\r\n"))[0] == 431


async def test_what_takes_a_closer_look_takes_it_every_time() -> None:
    """An absolute target, an offer of another protocol, HTTP/1.0: none of them is kept."""
    async with StubTarget(plain()) as one, data_plane(one) as stand:
        for _ in range(2):
            for line, extra in (
                (b"GET http://h/c HTTP/1.1", b""),
                (b"GET /c HTTP/1.1", b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
                (b"GET /c HTTP/1.0", b"Connection: keep-alive\r\n"),
            ):
                wire = await stand.connect()
                await wire.send(b"%b\r\nHost: h\r\n%b\r\n" % (line, extra))
                assert (await wire.answer())[0] == 200
        assert not stand.plane.request_heads.known


async def test_a_head_with_its_body_behind_it_is_whole() -> None:
    """The head that is known comes with the beginning of a body, and the other way round."""
    seen: list[bytes] = []

    async def answer(request: Request) -> None:
        seen.append(b"".join([piece async for piece in request.body()]))
        await plain()(request)

    head = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"
    async with StubTarget(answer) as one, data_plane(one) as stand:
        wire = await stand.connect()
        for parts in ((head, b"abcd"), (head + b"efgh",), (head, b"ij", b"kl"), (head + b"mnop",)):
            for part in parts:
                await wire.send(part)
            assert (await wire.answer())[0] == 200
    assert seen == [b"abcd", b"efgh", b"ijkl", b"mnop"]


async def test_head_and_get_share_an_answers_head() -> None:
    """HEAD's answer has the length of a body that does not come."""

    async def answer(request: Request) -> None:
        request.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        if request.head.startswith(b"GET"):
            request.writer.write(b"ok")
        await request.writer.drain()

    async with StubTarget(answer) as one, data_plane(one) as stand:
        wire = await stand.connect()
        for _ in range(2):
            assert (await wire.get())[2] == b"ok"
            await wire.send(b"HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n")
            await wire.until(b"\r\n\r\n")
        assert len(stand.plane.response_heads.known) == 1
        assert len(stand.plane.clusters["c"].targets) == 1
        (target,) = stand.plane.clusters["c"].targets.values()
        assert len(target.idle) == 1
