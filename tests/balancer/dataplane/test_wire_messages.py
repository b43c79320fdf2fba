"""Messages through the data plane, to the byte: keep-alive, bodies, fields, versions."""

from __future__ import annotations

import asyncio

import pytest

from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.proc import PATIENCE_S
from tests.stand.target import Request, StubTarget, chunked, plain, raw, sink

POST = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
POST_CHUNKED = (
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)


async def echo(request: Request) -> None:
    """The request's body as the answer's."""
    body = b"".join([piece async for piece in request.body()])
    await plain(body)(request)


async def test_connections_are_kept_on_both_sides() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        for _ in range(5):
            assert (await wire.get())[0] == 200
        assert target.connections == 1


async def test_pipelined_requests_are_answered_in_order_and_after_half_close() -> None:
    """RFC 9112, 9.3.2."""
    async with StubTarget(echo) as target, data_plane(target) as stand:
        wire = await stand.connect()
        own = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
        await wire.send(POST + own + POST_CHUNKED + own)
        wire.writer.write_eof()
        bodies = [(await wire.answer())[2] for _ in range(4)]
        assert bodies == [b"hello", b"own", b"hello", b"own"]
        assert await wire.rest() == b""


@pytest.mark.parametrize("request_bytes", [POST, POST_CHUNKED], ids=["length", "chunked"])
@pytest.mark.parametrize("cut", range(0, 90, 7))
async def test_a_request_cut_anywhere_arrives_whole(request_bytes: bytes, cut: int) -> None:
    async with StubTarget(echo) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(request_bytes[:cut])
        await asyncio.sleep(0)  # let the first piece go out by itself
        await wire.send(request_bytes[cut:])
        assert (await wire.answer())[2] == b"hello"


async def test_a_chunked_answer_passes_byte_for_byte_and_streams() -> None:
    """RFC 9112, 7.1; the first chunk arrives before the last is sent."""
    gate = asyncio.Event()

    async def in_two(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await gate.wait()
        await request.send(b"3;x=y\r\ntwo\r\n0\r\nX-Trailer: t\r\n\r\n")

    async with StubTarget(in_two) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in await wire.until(b"\r\n\r\n")
        assert await wire.exactly(8) == b"3\r\none\r\n"
        gate.set()
        assert await wire.until(b"\r\n\r\n") == b"3;x=y\r\ntwo\r\n0\r\nX-Trailer: t\r\n\r\n"
        target.answer = plain()
        assert (await wire.get())[0] == 200


async def test_a_request_body_streams_before_it_is_complete() -> None:
    got = asyncio.Event()

    async def first_piece(request: Request) -> None:
        assert await request.reader.readexactly(3) == b"abc"
        got.set()
        assert await request.reader.readexactly(3) == b"def"
        request.body_done = True
        await plain()(request)

    async with StubTarget(first_piece) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc")
        await asyncio.wait_for(got.wait(), PATIENCE_S)
        await wire.send(b"def")
        assert (await wire.answer())[0] == 200


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_answers_without_content(status: str) -> None:
    """RFC 9112, 6.3, case 1."""
    answer = raw(f"HTTP/1.1 {status}\r\nX-A: b\r\n\r\n".encode())
    async with StubTarget(answer) as target, data_plane(target) as stand:
        wire = await stand.connect()
        for _ in range(2):
            await wire.send(b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n")
            assert status.encode() in await wire.until(b"\r\n\r\n")
        assert target.connections == 1


async def test_head_has_the_length_and_no_body() -> None:
    """RFC 9110, 9.3.2."""
    async with StubTarget(plain(b"12345")) as target, data_plane(target) as stand:
        wire = await stand.connect()
        for path in ("/c", "/nowhere", "/"):
            await wire.send(f"HEAD {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            head = await wire.until(b"\r\n\r\n")
            assert b"Content-Length: " in head
        assert (await wire.get())[2] == b"12345"  # nothing of the others is left in between


async def test_continue_is_asked_for_and_passed_on() -> None:
    """RFC 9110, 10.1.1 and 15.2."""

    async def dance(request: Request) -> None:
        assert request.get("expect") == "100-continue"
        await request.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await request.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        await sink()(request)

    async with StubTarget(dance) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(
            b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n"
        )
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert await wire.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"body")
        assert (await wire.answer())[2] == b"4"


async def test_what_a_target_is_told_of_its_client() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.get(
            extra="X-Forwarded-For: 6.6.6.6\r\nX-Request-Id: mine\r\nForwarded: for=6.6.6.6\r\n"
            "Connection: X-Hop\r\nX-Hop: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\nX-Kept: yes\r\n"
        )
        seen = target.requests[0]
        assert seen.get("x-forwarded-for") == "127.0.0.1"
        assert seen.get("x-forwarded-proto") == "http"
        assert seen.get("via") == "1.1 steelyard"
        assert seen.get("x-request-id") not in (None, "mine")
        assert seen.get("x-kept") == "yes"
        names = {name for name, _ in seen.fields}
        assert not names & {"forwarded", "connection", "x-hop", "te", "keep-alive"}


async def test_a_trusted_proxys_word_is_kept_and_added_to() -> None:
    config = configuration(trusted_proxies=("127.0.0.0/8",))
    async with StubTarget() as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.get(
            extra="X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nX-Request-Id: mine\r\n"
        )
        seen = target.requests[0]
        assert seen.get("x-forwarded-for") == "192.0.2.7, 127.0.0.1"
        assert seen.get("x-forwarded-proto") == "https"
        assert [value for name, value in seen.fields if name == "x-request-id"] == ["mine"]


async def test_load_reports_and_hop_by_hop_fields_stay_here() -> None:
    extra = b"endpoint-load-metrics: TEXT cpu_utilization=0.3\r\nConnection: X-Own\r\nX-Own: 1\r\n"
    async with (
        StubTarget(plain(extra=extra + b"X-A: b\r\n")) as target,
        data_plane(target) as stand,
    ):
        _, head, _ = await (await stand.connect()).get()
        assert head.lower().count(b"\r\n") == 4, head
        assert b"X-A: b\r\n" in head


async def test_http_1_0_clients() -> None:
    """RFC 9112, 9.3 and 7.1: closed by default, kept when asked, never chunked."""
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, head, _ = await wire.answer()
        assert b"Connection: keep-alive\r\n" in head
        assert b"\r\nHost: " in target.requests[0].head
        target.answer = chunked(b"one", b"two")
        await wire.send(b"GET /c HTTP/1.0\r\n\r\n")
        head = await wire.until(b"\r\n\r\n")
        assert b"Transfer-Encoding" not in head
        assert await wire.rest() == b"onetwo"


async def test_an_answer_that_ends_with_its_connection() -> None:
    """RFC 9112, 6.3, case 8."""
    answer = raw(b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nso", b" far", end=True)
    async with StubTarget(answer) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"Connection: close\r\n" in await wire.until(b"\r\n\r\n")
        assert await wire.rest() == b"so far"


async def test_an_absolute_target_decides_the_host() -> None:
    """RFC 9112, 3.2.2."""
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"GET http://other:8/c?q HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await wire.answer())[0] == 200
        seen = target.requests[0]
        assert (seen.path, seen.get("host")) == ("/c?q", "other:8")
