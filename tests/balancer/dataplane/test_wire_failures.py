"""What goes wrong on either side: the right status, the right retry, nothing held."""

from __future__ import annotations

import asyncio
import json

import pytest

from services.balancer.config import Limits, Timeouts
from tests.balancer.dataplane.stand import Stand, Wire, configuration, data_plane
from tests.stand.balancer import free_ports
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget, big, broken, held, plain, raw, reset

POST = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
GET = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"
AFTER = b"GET /c?smuggled HTTP/1.1\r\nHost: h\r\n\r\n"


def code(body: bytes) -> str:
    return str(json.loads(body)["error"]["code"])


async def exchange(stand: Stand, data: bytes) -> tuple[int, str, Wire]:
    """Send, and read an error of the balancer's own: status and code."""
    wire = await stand.connect()
    await wire.send(data)
    status, _, body = await wire.answer()
    return status, code(body), wire


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (
            b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n",
            400,
        ),
        (b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n", 501),
        (b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: x\r\n", 501),
        (b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: 36\r\n", 400),
        (b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length : 36\r\n", 400),
        (b"GET /c HTTP/1.1\r\nHost: h\r\nX: a\nContent-Length: 36\r\n", 400),
        (b"GET /c HTTP/1.1\r\nHost: h\r\n Content-Length: 36\r\n", 400),
        (b"GET /c HTTP/1.1\r\nHost: h\r\nHost: i\r\n", 400),
        (b"GET /c HTTP/1.1\r\nX: y\r\n", 400),
        (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n", 501),
    ],
    ids=range(10),
)
async def test_what_could_be_framed_two_ways_is_refused_and_goes_no_further(
    head: bytes, status: int
) -> None:
    """RFC 9112, 6.1, 6.3, 11.2; the bytes behind are never read as a request."""
    async with StubTarget() as target, data_plane(target) as stand:
        got, _, wire = await exchange(stand, head + b"\r\n" + AFTER)
        assert got == status
        assert await wire.rest() == b""
        assert target.count == 0


async def test_a_broken_chunk_ends_the_request_and_the_connection() -> None:
    """RFC 9112, 7.1."""
    head = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target) as stand:
        status, word, wire = await exchange(stand, head + b"5\r\nhelloXX" + AFTER)
        assert (status, word) == (400, "malformed_request")
        assert await wire.rest() == b""
        assert target.count <= 1


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n", 404),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /" + b"a" * 5000, 414),
        (GET[:-2] + b"X: " + b"a" * 5000 + b"\r\n\r\n", 431),
        (GET[:-2] + b"X: " + b"a" * 5000, 431),
        (GET[:-2] + b"X: y\r\n" * 30 + b"\r\n", 431),
        (GET[:-2] + b"Expect: miracle\r\n\r\n", 417),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
    ids=["route", "target", "line", "head", "partial-head", "count", "expect", "tls"],
)
async def test_the_client_is_told_its_own_fault(data: bytes, status: int) -> None:
    config = configuration(limits=Limits(head_bytes=4096, target_bytes=2048, header_count=20))
    async with data_plane(config=config) as stand:
        assert (await exchange(stand, data))[0] == status


async def test_nobody_eligible() -> None:
    async with data_plane() as stand:
        wire = await stand.connect()
        status, head, body = await wire.get()
        assert (status, code(body)) == (503, "no_eligible_target")
        assert b"Retry-After: " in head
        assert (await wire.get("/"))[0] == 200  # the connection is as good as before


async def test_a_connect_failure_goes_to_another_target_even_for_a_post() -> None:
    (nobody,) = free_ports(1)
    async with StubTarget() as target, data_plane(nobody, target) as stand:
        wire = await stand.connect()
        for data in (GET, POST, GET, POST):
            await wire.send(data)
            assert (await wire.answer())[0] == 200
        assert target.count == 4


async def test_nobody_to_connect_to() -> None:
    async with data_plane(*free_ports(2)) as stand:
        assert (await exchange(stand, GET))[:2] == (502, "bad_gateway")


async def test_a_get_is_tried_elsewhere_and_a_post_is_not() -> None:
    async with StubTarget(broken) as bad, StubTarget() as good, data_plane(bad, good) as stand:
        wire = await stand.connect()
        for _ in range(2):
            assert (await wire.get())[0] == 200
        bad.count = good.count = 0
        outcomes = []
        for _ in range(4):
            await wire.send(POST)
            outcomes.append((await wire.answer())[0])
        assert sorted(outcomes) == [200, 200, 502, 502]
        assert bad.count + good.count == 4, "a POST was sent twice"


async def test_a_get_is_tried_only_so_often() -> None:
    async with StubTarget(broken) as one, StubTarget(broken) as two, data_plane(one, two) as stand:
        assert (await exchange(stand, GET))[0] == 502
        assert one.count + two.count == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX : y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
        b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
    ids=range(9),
)
async def test_a_targets_nonsense_is_a_502(answer: bytes) -> None:
    async with StubTarget(raw(answer)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(POST)
        while (got := await wire.answer())[0] == 100:
            pass
        assert got[0] == 502
        target.answer = plain()
        assert (await wire.get())[0] == 200


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
    ],
    ids=["length", "chunked"],
)
async def test_a_cut_answer_is_cut_for_the_client_too(answer: bytes) -> None:
    async with StubTarget(raw(answer, end=True)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        with pytest.raises(ConnectionResetError):
            await wire.rest()
        assert target.count == 1, "an answer that has begun is never tried again"


async def test_bytes_behind_an_answer_end_its_connection_and_reach_nobody() -> None:
    extra = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsplit"
    answer = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + extra)
    async with StubTarget(answer) as target, data_plane(target) as stand:
        wire = await stand.connect()
        for _ in range(3):
            assert (await wire.get())[2] == b"ok"
        assert target.connections == 3


async def test_a_stale_connection_costs_a_get_nothing() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        await target.die()
        await target.listen()
        assert (await wire.get())[0] == 200


TIGHT = Timeouts(
    head_s=0.2, body_idle_s=0.2, response_head_s=0.2, keep_alive_s=0.2, linger_s=0.2, connect_s=1
)


async def test_a_slow_target_is_a_504() -> None:
    config = configuration(timeouts=Timeouts(response_head_s=0.2))  # nobody else's time is up
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target, config=config) as s:
        assert (await exchange(s, GET))[:2] == (504, "gateway_timeout")
        assert target.count <= 1, "tried once; a busy machine may not have come to read it"


async def test_slow_heads_bodies_and_idle_clients_are_ended() -> None:
    config = configuration(timeouts=TIGHT)
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target, config=config) as s:
        assert (await exchange(s, GET[:20]))[:2] == (408, "request_timeout")
        assert (await exchange(s, POST[:-2]))[:2] == (408, "request_timeout")
        assert await (await s.connect()).rest() == b""


async def test_an_answer_that_stops_is_cut() -> None:
    async def stops(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await asyncio.Event().wait()

    config = configuration(timeouts=TIGHT)
    async with StubTarget(stops) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        with pytest.raises(ConnectionResetError):
            await wire.rest()


async def test_a_client_that_does_not_read_stops_the_target() -> None:
    async with StubTarget(big(1 << 28)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport too
        await wire.send(GET)
        (client,) = stand.plane.clients
        await wait_until(lambda: client.blocked, "the client's side full")
        assert client._transport.get_write_buffer_size() < 1 << 20
        wire.writer.transport.abort()
        await wait_until(lambda: stand.pending == 0, "the claim given back")


async def test_a_target_that_does_not_read_stops_the_client() -> None:
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 268435456\r\n\r\n")
        wire.writer.write(bytes(1 << 25))
        await wait_until(lambda: any(c.paused for c in stand.plane.clients), "reading paused")
        wire.writer.transport.abort()


async def test_a_client_that_leaves_gives_its_claim_back() -> None:
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wait_until(lambda: stand.pending == 1, "a claim")
        reset(wire.writer)
        await wait_until(lambda: stand.pending == 0, "the claim given back")


async def test_an_early_answer_to_an_unfinished_upload_arrives() -> None:
    """RFC 9112, 9.3: the rest of the body can no longer be a request, so the connection ends."""
    async with StubTarget(plain(b"no", "413 Content Too Large")) as target, data_plane(target) as s:
        wire = await s.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegun")
        status, _, body = await wire.answer()
        assert (status, body) == (413, b"no")
        assert await wire.rest() == b""


async def test_one_client_too_many_is_closed_at_once() -> None:
    config = configuration(limits=Limits(connections=2))
    async with StubTarget() as target, data_plane(target, config=config) as stand:
        wires = [await stand.connect() for _ in range(2)]
        for wire in wires:
            assert (await wire.get())[0] == 200
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await (await stand.connect()).get()
        assert (await wires[0].get())[0] == 200


async def test_a_drain_lets_what_is_pending_finish_and_the_idle_go() -> None:
    gate = asyncio.Event()
    async with StubTarget(held(gate)) as target, data_plane(target) as stand:
        idle, busy = await stand.connect(), await stand.connect()
        assert (await idle.get("/"))[0] == 200
        await busy.send(GET)
        await wait_until(lambda: stand.pending == 1, "a claim")
        stand.plane.drain()
        assert await idle.rest() == b""
        gate.set()
        status, head, _ = await busy.answer()
        assert status == 200
        assert b"Connection: close\r\n" in head
        assert await busy.rest() == b""
