"""The channel between supervisor and child, over real socket pairs, on both kinds of loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvloop

from services.balancer.hub import Hub
from services.balancer.messages import Drain, Message, ProbeResult, Probes, Ready
from tests.stand.proc import wait_until


@dataclass
class End:
    """One end with what it has seen."""

    hub: Hub
    heard: list[Message] = field(default_factory=list)
    closes: int = 0
    writables: int = 0


async def open_end(sock: socket.socket | int, backlog_bytes: int) -> End:
    heard: list[Message] = []

    def closed() -> None:
        end.closes += 1

    def writable() -> None:
        end.writables += 1

    hub = await Hub.open(sock, heard.append, closed, writable, backlog_bytes=backlog_bytes)
    end = End(hub, heard)
    return end


@pytest.fixture
async def ends() -> AsyncIterator[tuple[End, End]]:
    one, other = socket.socketpair()
    pair = (await open_end(one, 10_000), await open_end(other.detach(), 10_000))
    yield pair
    for end in pair:
        end.hub.abort()
    await wait_until(lambda: all(end.closes for end in pair), "both ends closed")


async def test_messages_arrive_whole_and_in_order(ends: tuple[End, End]) -> None:
    one, other = ends
    sent: list[Message] = [Ready(pid=1), Drain(deadline_s=2.5), Ready(pid=3)]
    assert all(one.hub.send(message) for message in sent)
    assert other.hub.send(Ready(pid=4))
    await wait_until(lambda: len(other.heard) == 3 and len(one.heard) == 1, "four messages")
    assert other.heard == sent
    assert one.heard == [Ready(pid=4)]


async def test_close_sends_what_is_buffered_and_tells_both_once(ends: tuple[End, End]) -> None:
    one, other = ends
    for pid in range(100):
        one.hub.send(Ready(pid=pid))
    one.hub.close()
    assert one.hub.closed
    assert not one.hub.send(Ready(pid=0))
    await wait_until(lambda: one.closes and other.closes, "the close")
    assert len(other.heard) == 100
    assert not other.hub.send(Ready(pid=0))
    other.hub.close()
    other.hub.abort()
    await asyncio.sleep(0)
    assert (one.closes, other.closes) == (1, 1)
    assert repr(other.hub) == "<Hub closed, backlog 0 bytes>"


async def test_a_stuck_peer_costs_a_bounded_backlog() -> None:
    one, other = socket.socketpair()
    end = await open_end(one, 10_000)
    message = Probes(results=tuple(ProbeResult(id="x" * 100, latency_s=None) for _ in range(10)))
    sent = 0
    while end.hub.send(message):
        sent += 1
        await asyncio.sleep(0)
        assert sent < 10_000
    assert repr(end.hub).startswith("<Hub slow")
    assert 10_000 <= end.hub.backlog < 10_000 + 2_000
    assert not end.hub.send(message)

    reader = await open_end(other, 10_000)
    await wait_until(lambda: len(reader.heard) == sent, "everything that was accepted")
    assert end.writables == 1
    assert repr(end.hub) == "<Hub open, backlog 0 bytes>"
    assert end.hub.send(message)
    end.hub.close()
    await wait_until(lambda: end.closes and reader.closes, "the close")


@pytest.mark.parametrize("nonsense", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1"])
async def test_nonsense_ends_the_channel(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    one, other = socket.socketpair()
    end = await open_end(one, 10_000)
    with other:
        other.sendall(nonsense)
        await wait_until(lambda: end.closes, "the close")
    assert end.heard == []
    assert "no message" in caplog.text


def test_it_runs_on_uvloop() -> None:
    async def talk() -> None:
        one, other = socket.socketpair()
        left, right = await open_end(one.detach(), 10_000), await open_end(other, 10_000)
        left.hub.send(Ready(pid=1))
        await wait_until(lambda: right.heard == [Ready(pid=1)], "a message")
        left.hub.abort()
        await wait_until(lambda: left.closes == right.closes == 1, "the close")

    uvloop.run(talk())


async def test_a_long_picture_lets_others_have_their_turns(ends: tuple[End, End]) -> None:
    """What came in one read is heard message by message, with the loop's other work in between."""
    one, other = ends
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        if len(other.heard) < 50:
            asyncio.get_running_loop().call_soon(turn)

    turn()
    for pid in range(50):
        one.hub.send(Ready(pid=pid))
    await wait_until(lambda: len(other.heard) == 50, "all of them")
    assert [message.pid for message in other.heard if isinstance(message, Ready)] == [*range(50)]
    assert turns >= 50
    assert one.hub.send(Ready(pid=50))
    await wait_until(lambda: len(other.heard) == 51, "one more: it reads again")
