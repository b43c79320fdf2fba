"""Tunnels over real sockets: WebSocket handshakes, bytes both ways, ends and limits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import struct
from collections.abc import Awaitable, Callable
from typing import Final

import pytest

from services.balancer.config import Limits, Timeouts
from services.balancer.ledger import ProcessCell, TargetCell
from services.balancer.messages import Health
from tests.balancer.dataplane.stand import Stand, Wire, configuration, data_plane
from tests.balancer.dataplane.test_wire_pressure import PATTERN, ROUNDS, unread
from tests.stand.proc import PATIENCE_S, wait_until
from tests.stand.target import Request, StubTarget, plain, raw, reset

KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, 1.3, and its answer:
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
OFFER: Final = (
    b"GET /c/chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
SWITCHED: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
SEEN: Final = (
    b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + ACCEPT + b"\r\n"
    b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
)
Session = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def switching(session: Session, said: bytes = SWITCHED) -> Callable[[Request], Awaitable[None]]:
    """A target that switches, then runs `session`, then closes."""

    async def answer(request: Request) -> None:
        await request.send(said)
        await session(request.reader, request.writer)
        request.writer.close()

    return answer


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything back, as it came."""
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing until the other side ends."""
    while await reader.read(65_536):
        pass


async def tunnel(stand: Stand) -> Wire:
    """A client whose offer was taken up."""
    wire = await stand.connect()
    await wire.send(OFFER)
    assert await wire.exactly(len(SEEN)) == SEEN
    return wire


async def test_a_drain_leaves_tunnels_alone_until_its_deadline() -> None:
    async with StubTarget(switching(echo)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        stand.see(target.port, 0, Health.HEALTHY, draining=True)
        await wire.send(b"still here")
        assert await wire.exactly(10) == b"still here"
        stand.see(target.port, 0, Health.HEALTHY, draining=True, cut=True)
        with contextlib.suppress(ConnectionResetError):
            assert await wire.rest() == b""
        await wait_until(lambda: stand.pending == 0, "the claim given back")


async def test_an_offer_goes_on_and_bytes_pass_both_ways_while_the_claim_is_held() -> None:
    async with StubTarget(switching(echo)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        head = target.requests[0]
        assert (head.get("upgrade"), head.get("connection")) == ("websocket", "upgrade")
        assert head.get("sec-websocket-key") == KEY.decode()
        for piece in (b"\x00hello", b"GET / HTTP/1.1\r\n\r\n", bytes(70_000)):
            await wire.send(piece)
            assert await wire.exactly(len(piece)) == piece
        cells = stand.plane.counters.cells
        assert stand.pending == 1
        assert cells[ProcessCell.TUNNELS_OPEN] == cells[ProcessCell.TUNNELS] == 1
        wire.writer.close()
        await wait_until(lambda: stand.pending == 0, "the claim given back")
        await wait_until(lambda: cells[ProcessCell.TUNNELS_OPEN] == 0, "no tunnel left")
        (known,) = stand.plane.clusters["c"].targets.values()
        assert known.counts[TargetCell.RESPONSES_1XX] == known.counts[TargetCell.REQUESTS] == 1
        assert known.load.peak.cost < 5, "how long a tunnel was open is no latency"


def _frame(opcode: int, data: bytes, mask: bytes = b"") -> bytes:
    """RFC 6455, 5.2: one whole frame of less than 126 bytes."""
    head = struct.pack("!BB", 0x80 | opcode, (0x80 if mask else 0) | len(data))
    return head + mask + (bytes(b ^ mask[i % 4] for i, b in enumerate(data)) if mask else data)


async def test_a_websocket_conversation_from_handshake_to_close() -> None:
    """A small server by RFC 6455: it proves itself by the client's key and unmasks frames."""

    async def serves(request: Request) -> None:
        key = (request.get("sec-websocket-key") or "").encode()
        proof = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - by the RFC
        await request.send(SWITCHED.replace(ACCEPT, base64.b64encode(proof)))
        opcode = 0
        while opcode != 8:
            first, second = await request.reader.readexactly(2)
            opcode, mask = first & 15, await request.reader.readexactly(4)
            data = await request.reader.readexactly(second & 127)
            text = bytes(b ^ mask[i % 4] for i, b in enumerate(data))
            await request.send(_frame(opcode, text.upper() if opcode == 1 else text))
        request.writer.close()

    async with StubTarget(serves) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        await wire.send(_frame(1, b"hello", b"\x01\x02\x03\x04"))
        assert await wire.exactly(7) == _frame(1, b"HELLO")
        await wire.send(_frame(8, struct.pack("!H", 1000), b"abcd"))
        assert await wire.rest() == _frame(8, struct.pack("!H", 1000))


async def test_what_either_side_says_at_once_is_not_lost() -> None:
    """The target's first frame in the segment of its 101; the client's before it has the 101."""
    async with (
        StubTarget(switching(echo, SWITCHED + b"first")) as target,
        data_plane(target) as stand,
    ):
        wire = await stand.connect()
        await wire.send(OFFER + b"ahead")
        assert await wire.exactly(len(SEEN) + 10) == SEEN + b"firstahead"


async def test_each_side_waits_for_the_other() -> None:
    async def says_much(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _round in range(ROUNDS):
            writer.write(PATTERN)
            await writer.drain()

    async with StubTarget(switching(says_much)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        unread(wire, stop=True)
        (client,) = stand.plane.clients
        transport = client._transport
        await wait_until(lambda: transport.get_write_buffer_size() > 0, "the client's side full")
        assert target.pending == 1, "the target is stopped in the middle"
        assert transport.get_write_buffer_size() < 1 << 20
        unread(wire, stop=False)
        for _ in range(ROUNDS):
            assert await wire.exactly(len(PATTERN)) == PATTERN
        assert await wire.rest() == b""


async def test_a_target_that_does_not_read_stops_the_client() -> None:
    gate = asyncio.Event()

    async def reads_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        for _ in range(ROUNDS):
            assert await reader.readexactly(len(PATTERN)) == PATTERN
        writer.write(b"all")

    async with StubTarget(switching(reads_late)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        wire.writer.write(PATTERN * ROUNDS)
        (client,) = stand.plane.clients
        reading = client._transport.is_reading
        await wait_until(lambda: not reading(), "the client stopped")
        gate.set()
        assert await wire.exactly(3) == b"all"


async def test_half_an_end_is_handed_on_as_half_an_end() -> None:
    async def answers_at_the_end(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        said = await reader.read()
        writer.write(b"you said " + said)

    async with StubTarget(switching(answers_at_the_end)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        await wire.send(b"hello")
        wire.writer.write_eof()
        assert await wire.rest() == b"you said hello"


async def test_a_reset_on_one_side_ends_the_other() -> None:
    ended = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        try:
            while await reader.read(1):
                pass
        finally:
            ended.set()

    async with StubTarget(switching(waits)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        reset(wire.writer)
        await asyncio.wait_for(ended.wait(), PATIENCE_S)
        wire = await tunnel(stand)
        await target.die()
        with contextlib.suppress(ConnectionResetError):
            assert await wire.rest() == b""


async def test_a_tunnel_in_which_nothing_moves_ends() -> None:
    config = configuration(timeouts=Timeouts(tunnel_idle_s=0.1))
    async with StubTarget(switching(echo)) as target, data_plane(target, config=config) as stand:
        wire = await tunnel(stand)
        assert await wire.rest() == b""


async def _talk(wire: Wire) -> None:
    while True:
        await wire.send(b"more")
        assert await wire.exactly(4) == b"more"


async def test_being_busy_saves_from_the_idle_limit_alone() -> None:
    config = configuration(timeouts=Timeouts(tunnel_idle_s=50, tunnel_total_s=60))
    async with StubTarget(switching(echo)) as target, data_plane(target, config=config) as stand:
        wire = await tunnel(stand)
        deadlines = stand.plane.deadlines
        (watched,) = (one for part in deadlines._slices for one in part)
        first, begun = watched.deadline, deadlines.now
        assert first - begun < 51
        await wait_until(lambda: deadlines.now > begun, "time gone by")
        await wire.send(b"more")
        assert await wire.exactly(4) == b"more"
        assert watched.deadline > first
    config = configuration(timeouts=Timeouts(tunnel_idle_s=60, tunnel_total_s=0.1))
    async with StubTarget(switching(echo)) as target, data_plane(target, config=config) as stand:
        wire = await tunnel(stand)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await _talk(wire)


async def test_only_so_many_tunnels_are_open_and_one_more_is_refused_at_once() -> None:
    config = configuration(limits=Limits(tunnels=1))
    async with StubTarget(switching(echo)) as target, data_plane(target, config=config) as stand:
        first = await tunnel(stand)
        second = await stand.connect()
        await second.send(OFFER)
        status, head, body = await second.answer()
        assert (status, b"too_many_tunnels" in body) == (503, True)
        assert b"Retry-After: " in head
        assert await second.rest() == b""
        assert target.count == 1
        assert (await (await stand.connect()).get("/"))[2] == b"own"  # the rest goes on
        first.writer.close()
        await wait_until(lambda: stand.plane.tunnels == 0, "the first tunnel gone")
        await tunnel(stand)


async def test_of_two_offers_for_the_last_place_one_gets_it() -> None:
    gate = asyncio.Event()

    async def later(request: Request) -> None:
        await gate.wait()
        await switching(echo)(request)

    config = configuration(limits=Limits(tunnels=1))
    async with StubTarget(later) as target, data_plane(target, config=config) as stand:
        wires = [await stand.connect(), await stand.connect()]
        for wire in wires:
            await wire.send(OFFER)
        await wait_until(lambda: target.count == 2, "both offers at the target")
        gate.set()
        heads = [await wire.until(b"\r\n\r\n") for wire in wires]
        assert sorted(head.split()[1] for head in heads) == [b"101", b"503"]


@pytest.mark.parametrize("status", ["200 OK", "426 Upgrade Required"])
async def test_what_was_sent_ahead_of_a_refusal_is_never_a_request(status: str) -> None:
    """A client that speaks the new protocol too early must not be heard as one that speaks HTTP."""
    async with StubTarget(plain(b"no", status)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(OFFER + b"GET /c?smuggled HTTP/1.1\r\nHost: h\r\n\r\n")
        assert (await wire.answer())[0] == int(status[:3])
        assert await wire.rest() == b""
        assert target.count == 1


NONSENSE: Final = {
    "nobody offered": (b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n", SWITCHED),
    "another protocol": (OFFER, SWITCHED.replace(b"websocket", b"h2c")),
    "no protocol": (OFFER, SWITCHED.replace(b"Upgrade: websocket\r\n", b"")),
    "two protocols": (OFFER, SWITCHED.replace(b"websocket", b"websocket, h2c")),
    "connection does not say so": (OFFER, SWITCHED.replace(b"Connection: Upgrade\r\n", b"")),
    "no proof": (OFFER, SWITCHED.replace(b"Sec-WebSocket-Accept", b"X")),
    "a wrong proof": (OFFER, SWITCHED.replace(ACCEPT, ACCEPT.lower())),
    "a length": (OFFER, SWITCHED[:-2] + b"Content-Length: 2\r\n\r\nok"),
    "a coding": (OFFER, SWITCHED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "HTTP/1.0": (OFFER, SWITCHED.replace(b"HTTP/1.1", b"HTTP/1.0")),
}


@pytest.mark.parametrize("case", NONSENSE)
async def test_a_switch_that_answers_no_offer_is_nonsense(case: str) -> None:
    asked, answered = NONSENSE[case]
    async with StubTarget(raw(answered)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(asked)
        assert (await wire.answer())[0] == 502
        assert stand.plane.tunnels == 0


TAKEN_OFF: Final = {
    "h2c": OFFER.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
    "connection does not name it": OFFER.replace(b", Upgrade", b""),
    "no key": OFFER.replace(b"Sec-WebSocket-Key", b"X"),
    "two keys": OFFER[:-2] + b"Sec-WebSocket-Key: " + KEY + b"\r\n\r\n",
    "the key is for this hop": OFFER.replace(b", Upgrade", b", Upgrade, Sec-WebSocket-Key"),
    "a POST": OFFER.replace(b"GET", b"POST"),
    "a body": OFFER[:-2] + b"Content-Length: 2\r\n\r\nhi",
    "HTTP/1.0": OFFER.replace(b"HTTP/1.1", b"HTTP/1.0"),
}


@pytest.mark.parametrize("case", TAKEN_OFF)
async def test_other_offers_are_taken_off_and_the_request_goes_on(case: str) -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(TAKEN_OFF[case])
        assert (await wire.answer())[0] == 200
        head = target.requests[0]
        assert (head.get("upgrade"), head.get("connection")) == (None, None)
        assert (await wire.get())[0] == 200


async def test_one_of_several_offers_goes_on_alone() -> None:
    async with StubTarget(switching(echo)) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(OFFER.replace(b"Upgrade: websocket", b"Upgrade: h2c, WebSocket"))
        assert await wire.exactly(len(SEEN)) == SEEN
        assert target.requests[0].get("upgrade") == "websocket"


async def test_tunnels_outlive_a_drain_until_they_end() -> None:
    async with StubTarget(switching(echo)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        stand.plane.drain()
        waiting = asyncio.ensure_future(stand.plane.wait_idle(5))
        await wire.send(b"still there")
        assert await wire.exactly(11) == b"still there"
        assert not waiting.done()
        wire.writer.close()
        assert await waiting


async def test_the_end_of_the_process_cuts_tunnels() -> None:
    async with StubTarget(switching(silent)) as target, data_plane(target) as stand:
        wire = await tunnel(stand)
        for client in list(stand.plane.clients):
            client.abort()
        with pytest.raises(ConnectionResetError):
            await wire.rest()
