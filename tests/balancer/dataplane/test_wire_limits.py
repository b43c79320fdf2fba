"""What one client, or all of them, may hold: connections, time, bytes; and what happens beyond."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import pytest

from services.balancer.config import Limits, Timeouts
from services.balancer.ledger import ProcessCell, TargetCell
from tests.balancer.dataplane.stand import Stand, configuration, data_plane
from tests.balancer.dataplane.test_wire_pressure import pattern, unread
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget, broken, held, plain, reset

GET: Final = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"


async def turned_away(stand: Stand) -> bool:
    """One more client is closed without a word."""
    wire = await stand.connect()
    try:
        return await wire.rest() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("limit", ["connections", "connections_per_address"])
async def test_a_client_too_many_is_closed_at_accept_and_the_others_go_on(limit: str) -> None:
    gate = asyncio.Event()
    config = configuration(limits=Limits(**{limit: 2}))
    async with StubTarget(held(gate)) as target, data_plane(target, config=config) as stand:
        busy, idle = await stand.connect(), await stand.connect()
        await busy.send(GET)
        await wait_until(lambda: target.pending == 1 and len(stand.plane.clients) == 2, "both in")
        assert await turned_away(stand)
        assert stand.plane.counters.cells[ProcessCell.CONNECTIONS_REFUSED] == 1
        gate.set()
        assert (await busy.answer())[0] == 200
        assert (await idle.get("/"))[0] == 200
        idle.writer.close()
        await wait_until(lambda: len(stand.plane.clients) == 1, "one has left")
        assert (await (await stand.connect()).get())[0] == 200
    assert len(stand.plane.origins) == 0


async def test_clients_behind_a_trusted_proxy_are_not_one_client() -> None:
    config = configuration(
        limits=Limits(connections_per_address=1), trusted_proxies=("127.0.0.0/8",)
    )
    async with StubTarget() as target, data_plane(target, config=config) as stand:
        for wire in [await stand.connect() for _ in range(3)]:
            assert (await wire.get())[0] == 200


# -- the time of a whole request -------------------------------------------------------------------


async def trickle(request: Request) -> None:
    """An answer that never stands still and never ends."""
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        await request.send(b"x")
        await asyncio.sleep(0.01)


async def test_a_download_that_never_ends_is_cut_when_its_time_is_up() -> None:
    config = configuration(timeouts=Timeouts(request_s=0.5))
    async with StubTarget(trickle) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        with pytest.raises(ConnectionResetError):
            await wire.rest()
        (known,) = stand.plane.clusters["c"].targets.values()
        assert (known.counts[TargetCell.TIMEOUTS], known.counts[TargetCell.ABORTED]) == (0, 1)


async def test_an_upload_that_never_ends_is_refused_when_its_time_is_up() -> None:
    async def swallows(request: Request) -> None:
        async for _ in request.body():
            pass

    config = configuration(timeouts=Timeouts(request_s=0.5))
    async with StubTarget(swallows) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n")
        answer = asyncio.ensure_future(wire.answer())
        while not answer.done():
            with contextlib.suppress(ConnectionError):
                await wire.send(b"x")
            await asyncio.sleep(0.01)
        assert (await answer)[0] == 408


async def test_a_body_that_stops_right_behind_its_head_is_not_waited_for_as_an_answer() -> None:
    """What came before there was a connection to a target does not count as the whole of it."""
    config = configuration(timeouts=Timeouts(body_idle_s=0.1, response_head_s=60))
    silent = held(asyncio.Event())
    async with StubTarget(silent) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        assert (await wire.answer())[0] == 408


async def test_a_target_that_says_nothing_has_no_more_than_the_request() -> None:
    config = configuration(timeouts=Timeouts(request_s=0.1, response_head_s=60))
    silent = held(asyncio.Event())
    async with StubTarget(silent) as target, data_plane(target, config=config) as stand:
        assert (await (await stand.connect()).get())[0] == 504


async def test_a_second_attempt_has_what_the_first_has_left() -> None:
    late = asyncio.Event()

    async def first_breaks(request: Request) -> None:
        if target.count == 1:
            await late.wait()
            await broken(request)
        else:
            await asyncio.Event().wait()

    config = configuration(timeouts=Timeouts(request_s=50))
    async with StubTarget(first_breaks) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        await wire.send(GET)
        await wait_until(lambda: target.count == 1, "the first attempt")
        (client,) = stand.plane.clients
        exchange, deadlines = client._exchange, stand.plane.deadlines
        assert exchange is not None
        await wait_until(lambda: deadlines.now > exchange.arrived, "time gone by")
        late.set()
        await wait_until(lambda: target.count == 2, "the second attempt")
        assert client.deadline == exchange.arrived + 50
        reset(wire.writer)


# -- bytes and descriptors -------------------------------------------------------------------------


@pytest.mark.parametrize("most", [4_096, 1 << 20])
async def test_what_waits_for_a_client_is_as_much_as_was_configured(most: int) -> None:
    config = configuration(limits=Limits(buffer_bytes=most))
    async with StubTarget(pattern) as target, data_plane(target, config=config) as stand:
        wire = await stand.connect()
        unread(wire, stop=True)
        await wire.send(GET)
        (client,) = stand.plane.clients
        await wait_until(lambda: client.blocked, "the client's side full")
        waiting = client._transport.get_write_buffer_size()
        assert most < waiting <= most + (256 << 10), "one read may go beyond it"


async def test_connections_that_rest_make_room_before_there_are_too_many() -> None:
    """Each client has one target at a time; pools may not add what no client could use."""
    config = configuration(limits=Limits(connections=3))
    targets = [StubTarget(plain()) for _ in range(8)]
    async with contextlib.AsyncExitStack() as stack:
        for target in targets:
            await stack.enter_async_context(target)
        stand = await stack.enter_async_context(data_plane(*targets, config=config))
        wire = await stand.connect()
        for _ in range(20):  # in turn over all the targets
            assert (await wire.get())[0] == 200
            assert stand.plane.target_connections <= 4
    assert stand.plane.target_connections == stand.plane.dialing == 0
