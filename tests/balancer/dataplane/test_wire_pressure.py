"""A side that does not take what it is given stops the other, and nothing is lost or held by it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, cast

from tests.balancer.dataplane.stand import Stand, Wire, data_plane
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget, plain

PATTERN: Final = bytes(range(256)) * 4096  # 1 MiB whose every cut shows
ROUNDS: Final = 24
GET: Final = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"


def put(size: int) -> bytes:
    return b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % size


def unread(wire: Wire, *, stop: bool) -> None:
    """Have the client read nothing, or read again."""
    transport = cast("asyncio.Transport", wire.writer.transport)
    if stop:
        transport.pause_reading()
    else:
        transport.resume_reading()


def buffered(stand: Stand) -> int:
    """Bytes that wait in the data plane for its clients."""
    return sum(c._transport.get_write_buffer_size() for c in stand.plane.clients)


async def pattern(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (ROUNDS * len(PATTERN)))
    for _ in range(ROUNDS):
        await request.send(PATTERN)


async def test_an_answer_waits_for_a_slow_client_and_arrives_whole() -> None:
    async with StubTarget(pattern) as target, data_plane(target) as stand:
        wire = await stand.connect()
        unread(wire, stop=True)
        await wire.send(GET)
        (client,) = stand.plane.clients
        await wait_until(lambda: client.blocked, "the client's side full")
        assert buffered(stand) < 1 << 20
        assert target.pending == 1, "the target is stopped in the middle"
        unread(wire, stop=False)
        await wire.until(b"\r\n\r\n")
        for _ in range(ROUNDS):
            assert await wire.exactly(len(PATTERN)) == PATTERN
        target.answer = plain()
        assert (await wire.get())[0] == 200
        assert target.connections == 1


async def test_an_upload_waits_for_a_slow_target_and_arrives_whole() -> None:
    gate = asyncio.Event()

    async def checks(request: Request) -> None:
        await gate.wait()
        for _ in range(ROUNDS):
            assert await request.reader.readexactly(len(PATTERN)) == PATTERN
        request.body_done = True
        await plain(b"whole")(request)

    async with StubTarget(checks) as target, data_plane(target) as stand:
        wire = await stand.connect()
        wire.writer.write(put(ROUNDS * len(PATTERN)) + PATTERN * ROUNDS)
        (client,) = stand.plane.clients
        await wait_until(lambda: client.paused and target.pending, "the client stopped")
        gate.set()
        assert (await wire.answer())[2] == b"whole"
        assert (await wire.get("/"))[2] == b"own"


async def test_a_connection_that_is_full_from_the_start_stops_the_client_too() -> None:
    """What the target has not taken of an earlier body counts as well."""

    async def takes_nothing(request: Request) -> None:
        await asyncio.Event().wait()

    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        (pooled,) = next(iter(stand.plane.clusters["c"].targets.values())).idle
        sock = pooled._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        target.answer = takes_nothing
        # Head and much of the body in one segment: the first write alone is more than it takes.
        wire.writer.write(put(64 << 20) + bytes(64 << 20))
        await wait_until(lambda: target.pending == 1, "the request at the target")
        (client,) = stand.plane.clients
        await wait_until(lambda: client.paused, "the client stopped", 3)
        assert pooled._transport.get_write_buffer_size() < 1 << 20
        await target.die()
        with contextlib.suppress(ConnectionError):  # the rest of 64 MiB meets a closed door
            await wire.rest()


async def test_an_answer_before_the_upload_is_taken_leaves_no_connection_behind() -> None:
    """The target neither reads the rest nor closes: it is ours to end."""
    full = asyncio.Event()

    async def refuses(request: Request) -> None:
        await full.wait()
        await plain(b"no", "413 Content Too Large")(request)
        await asyncio.Event().wait()

    async with StubTarget(refuses) as target, data_plane(target) as stand:
        wire = await stand.connect()
        wire.writer.write(put(256 << 20) + bytes(32 << 20))
        (client,) = stand.plane.clients
        await wait_until(lambda: client.paused and target.pending, "the client stopped")
        full.set()
        # So much is under way that the answer may be lost to the reset that ends the linger.
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            assert (await wire.answer())[::2] == (413, b"no")
        wire.writer.transport.abort()
        await wait_until(lambda: stand.watched == 0, "both connections gone")
