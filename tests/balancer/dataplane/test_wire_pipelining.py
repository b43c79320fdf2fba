"""Requests sent ahead: one at a time, in order, within bounds, whatever arrives when."""

from __future__ import annotations

import asyncio

from services.balancer.config import Limits
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget, plain

OWN = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def get(query: int) -> bytes:
    return f"GET /c?{query} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


async def named(request: Request) -> None:
    """The request's target as the answer."""
    await plain(request.path.encode())(request)


async def test_requests_in_one_segment_are_answered_in_order() -> None:
    """RFC 9112, 9.3.2. The second goes out only when the first is answered."""
    gate = asyncio.Event()

    async def first_waits(request: Request) -> None:
        if request.path == "/c?0":
            await gate.wait()
        await named(request)

    async with StubTarget(first_waits) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(get(0) + get(1) + get(2))
        await wait_until(lambda: target.count == 1, "the first at the target")
        gate.set()
        assert [(await wire.answer())[2] for _ in range(3)] == [b"/c?0", b"/c?1", b"/c?2"]
        assert target.connections == 1


async def test_a_request_that_arrives_with_an_answer_waits_its_turn() -> None:
    """An answer ends and more requests arrive in the same turn of the loop, while some wait."""
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        seen: list[str] = []

        async def answer(request: Request) -> None:
            assert target.pending == 1, "two exchanges of one connection at a time"
            seen.append(request.path)
            body = request.path.encode()
            # Both writes reach the balancer's sockets before it looks again.
            head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            request.writer.write(head + body)
            if request.path == "/c?0":
                wire.writer.write(get(2) + get(3))
            await asyncio.sleep(0)

        target.answer = answer
        await wire.send(get(0) + get(1))
        bodies = [(await wire.answer())[2] for _ in range(4)]
        assert bodies == [b"/c?0", b"/c?1", b"/c?2", b"/c?3"]
        assert seen == ["/c?0", "/c?1", "/c?2", "/c?3"]


async def test_a_client_that_reads_no_answers_gets_no_further_requests_served() -> None:
    """What waits for it stays bounded; when it reads, all answers arrive in order."""
    count, size = 400, 100_000
    body = bytes(size)
    async with StubTarget(plain(body)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport too
        wire.writer.write(b"".join(get(number) for number in range(count)))
        (client,) = stand.plane.clients
        await wait_until(lambda: client.blocked, "the client's side full")
        served = -1
        while served < target.count:  # until nothing moves any more
            served = target.count
            for _ in range(20):
                await asyncio.sleep(0)
            await wait_until(lambda: target.pending == 0, "the target at rest")
        assert served < count
        assert client._transport.get_write_buffer_size() < 1 << 20
        wire.writer.transport.resume_reading()  # type: ignore[attr-defined] # as above
        for _ in range(count):
            assert (await wire.answer())[2] == body
        assert target.count == count


async def test_own_answers_that_nobody_reads_are_bounded_too() -> None:
    config = configuration(limits=Limits(buffer_bytes=4096))
    async with data_plane(config=config) as stand:
        wire = await stand.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined] # a read transport too
        wire.writer.write(OWN * 400_000)
        (client,) = stand.plane.clients
        await wait_until(lambda: client.blocked and client.paused, "no more is read")
        assert client._transport.get_write_buffer_size() < 1 << 20
        assert len(client._buffer) < 1 << 19
        wire.writer.transport.abort()


async def test_requests_sent_ahead_are_held_within_the_limit() -> None:
    gate = asyncio.Event()

    async def waits(request: Request) -> None:
        await gate.wait()
        await named(request)

    config = configuration(limits=Limits(buffer_bytes=4096))
    async with StubTarget(waits) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        count, pad = 300, b"X: " + bytes(4000).replace(b"\0", b"x") + b"\r\n\r\n"
        wire.writer.write(b"".join(get(number)[:-2] + pad for number in range(count)))
        await wait_until(lambda: any(c.paused for c in stand.plane.clients), "reading paused")
        gate.set()
        for number in range(count):
            assert (await wire.answer())[2] == b"/c?%d" % number
