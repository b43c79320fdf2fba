"""A cluster in trouble, over real sockets: who still gets requests, and how soon who does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import pytest

from services.balancer.config import Queue, Retry, Timeouts
from services.balancer.ledger import ClusterCell, TargetCell
from services.balancer.messages import Health
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.balancer import free_ports
from tests.stand.proc import wait_until
from tests.stand.target import Answer, Request, StubTarget, broken, held, plain, raw, reset, slow

POST = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


async def test_when_every_check_fails_all_targets_are_used() -> None:
    """The checks are starved, the targets are not: no reason for a 503."""
    async with StubTarget() as one, StubTarget() as two, data_plane(one, two) as stand:
        for slot, target in enumerate((one, two)):
            stand.see(target.port, slot, Health.UNHEALTHY)
        wire = await stand.connect()
        for _ in range(4):
            assert (await wire.get())[0] == 200
        assert (one.count, two.count) == (2, 2)
        assert stand.plane.clusters["c"].panicking


@pytest.mark.parametrize("answer", [plain(status="500 Oops"), broken], ids=["500", "reset"])
async def test_a_target_that_fails_requests_is_ejected(answer: Answer) -> None:
    async with StubTarget(answer) as bad, StubTarget() as good, data_plane(bad, good) as stand:
        wire = await stand.connect()
        for _ in range(10):
            await wire.get()
        assert bad.count == 5
        statuses = {(await wire.get())[0] for _ in range(20)}
        assert (statuses, bad.count) == ({200}, 5)
        target = stand.plane.clusters["c"].targets[f"c/{bad.address}"]
        target.publish()
        cells = stand.plane.ledger.target_totals(target.slot)
        assert cells[TargetCell.EJECTED] == cells[TargetCell.EJECTIONS_CONSECUTIVE] == 1
        assert target.idle == [] or answer is not broken


async def test_one_target_alone_is_used_whatever_it_does() -> None:
    async with StubTarget(plain(status="500 Oops")) as only, data_plane(only) as stand:
        wire = await stand.connect()
        assert [(await wire.get())[0] for _ in range(20)] == [500] * 20
        only.answer = plain()
        assert (await wire.get())[0] == 200


async def test_in_a_panic_the_dead_are_asked_once_only() -> None:
    (nobody,) = free_ports(1)
    async with StubTarget() as good, data_plane(nobody, good) as stand:
        for slot, port in enumerate((nobody, good.port)):
            stand.see(port, slot, Health.UNHEALTHY)
        wire = await stand.connect()
        assert [(await wire.get())[0] for _ in range(10)] == [200] * 10
        target = stand.plane.clusters["c"].targets[f"c/127.0.0.1:{nobody}"]
        assert target.failures == 1


# -- retries ---------------------------------------------------------------------------------------
HASTY = configuration(timeouts=Timeouts(response_head_s=5.0), cluster={"retry": Retry(try_s=0.1)})


async def test_a_black_hole_costs_a_get_one_try() -> None:
    async with (
        StubTarget(held(asyncio.Event())) as hole,
        StubTarget() as good,
        data_plane(hole, good, config=HASTY) as stand,
    ):
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        assert (hole.count, good.count) == (1, 1)


async def test_a_post_waits_for_the_one_that_has_it() -> None:
    async with (
        StubTarget(slow(0.4)) as late,
        StubTarget(slow(0.4)) as other,
        data_plane(late, other, config=HASTY) as stand,
    ):
        wire = await stand.connect()
        await wire.send(POST)
        assert (await wire.answer())[0] == 200
        assert late.count + other.count == 1


async def test_where_nobody_else_can_be_asked_a_slow_answer_is_waited_for() -> None:
    """A try's time ends a try only for another one."""
    async with StubTarget(slow(0.4)) as only, data_plane(only, config=HASTY) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        assert only.count == 1


async def test_the_last_try_has_all_the_time_that_is_left() -> None:
    async with (
        StubTarget(slow(0.4)) as one,
        StubTarget(slow(0.4)) as two,
        data_plane(one, two, config=HASTY) as stand,
    ):
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        assert (one.count, two.count) == (1, 1)


async def test_a_spent_budget_refuses_and_says_so() -> None:
    (nobody,) = free_ports(1)
    spent = configuration(cluster={"retry": Retry(budget_percent=50, budget_per_s=0)})
    async with StubTarget() as good, data_plane(nobody, good, config=spent) as stand:
        wire = await stand.connect()
        answers = [await wire.get() for _ in range(5)]
        assert [answer[0] for answer in answers] == [502, 200, 200, 200, 502]
        assert json.loads(answers[0][2])["error"]["code"] == "retry_budget"
        assert stand.plane.clusters["c"].counts[ClusterCell.RETRIES_REFUSED] == 2


async def test_a_stale_connection_is_no_error_that_the_budget_counts() -> None:
    none = configuration(cluster={"retry": Retry(budget_percent=0, budget_per_s=0)})
    closing = plain(extra=b"Keep-Alive: timeout=0\r\n")
    async with StubTarget(closing) as target, data_plane(target, config=none) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200

        async def leaves(request: Request) -> None:
            request.writer.close()
            target.answer = plain()

        target.answer = leaves
        assert (await wire.get())[0] == 200
        assert target.count == 3


# -- limits and the queue --------------------------------------------------------------------------
GET = b"GET /c HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("limit", [{"max_pending": 1}, {"max_pending_total": 1}], ids=str)
async def test_who_finds_all_full_waits_for_a_place(limit: dict[str, int]) -> None:
    gate = asyncio.Event()
    config = configuration(cluster=limit | {"queue": Queue(size=2, wait_s=30.0)})
    async with StubTarget(held(gate)) as target, data_plane(target, config=config) as stand:

        def in_line(count: int) -> Callable[[], bool]:
            return lambda: len(room.waiting) == count

        wires = [await stand.connect() for _ in range(4)]
        room = stand.plane.clusters["c"].room
        for number, wire in enumerate(wires[:3]):
            await wire.send(POST if number == 2 else GET)
            await wait_until(in_line(number), "the next in line")
        began = asyncio.get_running_loop().time()
        status, head, body = await wires[3].get()
        assert (status, json.loads(body)["error"]["code"]) == (503, "cluster_full")
        assert b"Retry-After: " in head
        assert asyncio.get_running_loop().time() - began < 5.0, "a refusal that takes its time"
        assert target.count == 1
        gate.set()
        assert [(await wire.answer())[0] for wire in wires[:3]] == [200] * 3
        assert [request.method for request in target.requests] == ["GET", "GET", "POST"]
        assert stand.plane.clusters["c"].counts[ClusterCell.QUEUE_FULL] == 1
        assert room.own == 0


async def test_nobody_waits_for_longer_than_allowed() -> None:
    gate = asyncio.Event()
    config = configuration(cluster={"max_pending": 1, "queue": Queue(wait_s=0.2)})
    async with StubTarget(held(gate)) as target, data_plane(target, config=config) as stand:
        first, last = await stand.connect(), await stand.connect()
        await first.send(GET)
        await wait_until(lambda: target.count == 1, "the first at the target")
        status, _, body = await last.get()
        assert (status, json.loads(body)["error"]["code"]) == (503, "queue_timeout")
        assert target.count == 1
        gate.set()
        assert (await first.answer())[0] == 200
        assert (await last.get())[0] == 200
        assert stand.plane.clusters["c"].counts[ClusterCell.QUEUE_TIMEOUTS] == 1


async def test_a_client_that_leaves_waits_no_more() -> None:
    gate = asyncio.Event()
    config = configuration(cluster={"max_pending": 1, "queue": Queue(wait_s=30.0)})
    async with StubTarget(held(gate)) as target, data_plane(target, config=config) as stand:
        first, leaver = await stand.connect(), await stand.connect()
        room = stand.plane.clusters["c"].room
        await first.send(GET)
        await wait_until(lambda: target.count == 1, "the first at the target")
        await leaver.send(GET)
        await wait_until(lambda: len(room.waiting) == 1, "one in line")
        reset(leaver.writer)
        await wait_until(lambda: not room.waiting, "nobody in line")
        gate.set()
        assert (await first.answer())[0] == 200
        assert target.count == 1


async def test_who_waits_goes_to_a_target_that_comes() -> None:
    gate = asyncio.Event()
    config = configuration(cluster={"max_pending": 1, "queue": Queue(wait_s=30.0)})
    async with (
        StubTarget(held(gate)) as busy,
        StubTarget() as new,
        data_plane(busy, config=config) as stand,
    ):
        first, second = await stand.connect(), await stand.connect()
        await first.send(GET)
        await wait_until(lambda: busy.count == 1, "the first at the target")
        await second.send(GET)
        await wait_until(lambda: bool(stand.plane.clusters["c"].room.waiting), "one in line")
        stand.see(new.port, 1, Health.HEALTHY)
        assert (await second.answer())[0] == 200
        assert new.count == 1
        gate.set()
        assert (await first.answer())[0] == 200


# -- drains ----------------------------------------------------------------------------------------
async def test_a_drain_that_lasts_too_long_ends_what_is_pending() -> None:
    """A GET goes elsewhere, a POST fails, an answer that has begun is cut."""
    gate = asyncio.Event()
    begun = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"never", pause_s=60.0)
    async with (
        StubTarget(held(gate)) as going,
        StubTarget() as staying,
        data_plane(going) as stand,
    ):
        get, post, answering, other = [await stand.connect() for _ in range(4)]
        await get.send(GET)
        await post.send(POST)
        await wait_until(lambda: going.count == 2, "two requests held")
        going.answer = begun
        await answering.send(GET)
        await answering.until(b"\r\n\r\n")
        stand.see(staying.port, 1, Health.HEALTHY)
        stand.see(going.port, 0, Health.HEALTHY, draining=True)
        assert (await other.get())[0] == 200
        assert stand.pending == 3, "the drain itself ends nothing"
        stand.see(going.port, 0, Health.HEALTHY, draining=True, cut=True)
        assert (await get.answer())[0] == 200
        status, _, why = await post.answer()
        assert (status, b"drained" in why) == (502, True)
        with pytest.raises(ConnectionError):
            await answering.exactly(9)
        assert (going.count, staying.count) == (3, 2)
        gate.set()
