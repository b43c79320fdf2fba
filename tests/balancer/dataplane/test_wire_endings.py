"""Exchanges that end before their time: nothing is said twice, nothing unclean is kept."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.proc import PATIENCE_S, wait_until
from tests.stand.target import Request, StubTarget, held, plain, raw, reset

GET = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"
POST = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


async def test_a_broken_chunk_in_the_middle_of_an_answer_cuts_it() -> None:
    """No error of our own may be mistaken for a part of the target's answer."""

    async def begins(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
        await asyncio.Event().wait()

    async with StubTarget(begins) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(
            b"PUT /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        )
        await wire.until(b"begun")
        await wire.send(b"XX\r\n")
        with pytest.raises(ConnectionResetError):
            assert await wire.rest() == b""
        await wait_until(lambda: stand.pending == 0, "the claim given back")


async def test_a_client_that_leaves_mid_answer_closes_the_targets_connection() -> None:
    ended = asyncio.Event()

    async def begins(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
        try:
            assert await request.reader.read() == b""
        finally:
            ended.set()

    async with StubTarget(begins) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wire.until(b"begun")
        reset(wire.writer)
        await wait_until(lambda: stand.pending == 0, "the claim given back")
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        target.answer = plain()
        assert (await (await stand.connect()).get())[0] == 200
        assert target.connections == 2, "a connection with half an answer on it was used again"


@pytest.mark.parametrize("gone", [False, True])
async def test_a_client_that_ends_its_half_is_answered_or_taken_for_gone(gone: bool) -> None:
    """RFC 9112, 9.6 leaves the first open; which of the two, is configured."""
    gate, ended = asyncio.Event(), asyncio.Event()

    async def waits(request: Request) -> None:
        if gone:
            assert await request.reader.read() == b""
            ended.set()
        else:
            await gate.wait()
            await plain(b"still")(request)

    config = dataclasses.replace(configuration(), abort_on_close=gone)
    async with StubTarget(waits) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wait_until(lambda: target.count == 1, "the request at the target")
        wire.writer.write_eof()
        if gone:
            await asyncio.wait_for(ended.wait(), PATIENCE_S)
            assert await wire.rest() == b""
            assert stand.pending == 0
        else:
            (client,) = stand.plane.clients
            await wait_until(lambda: client.ended, "its end seen")
            gate.set()
            assert (await wire.answer())[2] == b"still"


async def test_an_early_answers_connection_is_not_used_again() -> None:
    async with StubTarget(plain(b"no", "413 Content Too Large")) as target, data_plane(target) as s:
        wire = await s.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nbegun")
        assert (await wire.answer())[0] == 413
        target.answer = plain()
        assert (await (await s.connect()).get())[0] == 200
        assert target.connections == 2


@pytest.mark.parametrize(("data", "status"), [(GET, 200), (POST, 502)], ids=["get", "post"])
async def test_a_pooled_connection_that_closes_under_a_request(data: bytes, status: int) -> None:
    """RFC 9112, 9.3.1: only what is harmless by its method is sent once more."""

    async def closes_the_second(request: Request) -> None:
        if request.connection == 0 and target.count == 2:
            request.writer.close()
        else:
            await plain()(request)

    async with StubTarget(closes_the_second) as target, data_plane(target) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        await wire.send(data)
        assert (await wire.answer())[0] == status
        assert target.count == (3 if status == 200 else 2)


async def test_transfer_encoding_on_two_lines_is_refused() -> None:
    """RFC 9112, 6.1."""
    lines = b"Transfer-Encoding: chunked\r\n" * 2
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"POST /c HTTP/1.1\r\nHost: h\r\n" + lines + b"\r\n0\r\n\r\n" + GET)
        assert (await wire.answer())[0] == 400
        assert await wire.rest() == b""
        assert target.count == 0


async def test_interim_answers_are_not_for_http_1_0_clients() -> None:
    """RFC 9110, 15.2."""
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    answer = raw(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    async with StubTarget(answer) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(b"GET /c HTTP/1.0\r\n\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 200 OK\r\n")


async def test_http_1_0_targets_keep_a_connection_only_when_they_say_so() -> None:
    """RFC 9112, 9.3."""
    for extra, connections in ((b"", 2), (b"Connection: keep-alive\r\n", 1)):
        answer = raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n" + extra + b"\r\nok")
        async with StubTarget(answer) as target, data_plane(target) as stand:
            wire = await stand.connect()
            for _ in range(2):
                status, head, body = await wire.get()
                assert (status, body) == (200, b"ok")
                assert head.startswith(b"HTTP/1.1 ")
            assert target.connections == connections


async def test_a_close_delimited_answer_that_is_reset_is_cut_for_the_client() -> None:
    gate = asyncio.Event()

    async def breaks_off(request: Request) -> None:
        await request.send(b"HTTP/1.1 200 OK\r\n\r\nbegun")
        await gate.wait()
        request.reset()

    async with StubTarget(breaks_off) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wire.until(b"begun")
        gate.set()
        with pytest.raises(ConnectionResetError):
            await wire.rest()


async def test_while_draining_answers_say_so_and_connections_are_not_kept() -> None:
    gate = asyncio.Event()
    async with StubTarget(held(gate)) as target, data_plane(target) as stand:
        stand.plane.draining = True
        for path in ("/c", "/", "/nowhere"):
            wire = await stand.connect()
            gate.set()
            _, head, _ = await wire.get(path)
            assert b"Connection: close\r\n" in head
            assert await wire.rest() == b""
        assert not any(t.idle for t in stand.plane.clusters["c"].targets.values())


async def test_a_drained_plane_is_idle_when_its_last_client_has_left() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        waiting = asyncio.ensure_future(stand.plane.wait_idle(5))
        stand.plane.drain()
        assert await waiting
        assert await wire.rest() == b""


async def test_a_target_that_leaves_takes_its_idle_connections_along() -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        (picture,) = stand.plane.clusters["c"].targets
        left = stand.plane.clusters["c"].targets[picture]
        (pooled,) = left.idle
        stand.remove(picture)
        await wait_until(lambda: pooled.lost, "the pooled connection closed")
        assert not left.idle
        assert (await wire.get())[0] == 503


async def test_a_connection_that_takes_nothing_is_not_kept() -> None:
    """An answer came before all of the request had gone out: what is left would spoil the next."""
    gate = asyncio.Event()
    async with StubTarget(held(gate)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wait_until(lambda: target.count == 1, "the request at the target")
        (client,) = stand.plane.clients
        assert client._exchange is not None
        connection = client._exchange._connection
        assert connection is not None
        connection.pause_writing()  # as the transport says it
        gate.set()
        assert (await wire.answer())[0] == 200
        assert (await wire.get())[0] == 200
        assert target.connections == 2
