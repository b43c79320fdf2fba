"""Targets that die, leave or come while requests flow."""

from __future__ import annotations

import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.stand.balancer import Balancer, cluster
from tests.stand.client import Client, Load
from tests.stand.proc import wait_until
from tests.stand.target import StubTarget, broken, plain, slow
from tests.stand.worker import Worker


async def test_a_request_goes_to_the_cluster_of_its_route(tmp_path: Path) -> None:
    async with (
        StubTarget(plain(b"one")) as one,
        StubTarget(plain(b"two")) as two,
        Balancer(
            tmp_path, [cluster("cluster1", [one.address]), cluster("cluster2", [two.address])]
        ) as balancer,
        await Client.connect(balancer.port) as client,
    ):
        assert (await client.get("/cluster1")).body == b"one"
        assert (await client.get("/cluster2/x?y=1")).body == b"two"
        assert (await client.get("/cluster3")).status == 404
        assert two.requests[0].path == "/cluster2/x?y=1"


@pytest.mark.parametrize("policy", ["peak_ewma", "round_robin", "least_pending"])
async def test_a_target_killed_under_load_costs_no_get(tmp_path: Path, policy: str) -> None:
    async with (
        StubTarget(slow(0.005)) as first,
        StubTarget(slow(0.005)) as second,
        StubTarget(slow(0.005)) as doomed,  # so that it dies with requests in its hands
        Balancer(
            tmp_path,
            [cluster("cluster1", [t.address for t in (first, second, doomed)], policy=policy)],
        ) as balancer,
    ):
        load = Load(balancer.port, connections=16)
        async with load.running():
            await load.wait_answered(300)
            await wait_until(lambda: doomed.pending > 0, "a request at the doomed one")
            await doomed.die()
            await load.wait_answered(1000)
            await doomed.listen()
            before = doomed.count
            while doomed.count < before + 50:  # it comes back into the picture
                await load.wait_answered(50)
        assert load.failed == {}
        # A small answer is written whole, so at most the requests in flight had begun.
        assert load.cut_short <= 16
        await balancer.wait_pending(0)


async def test_a_worker_killed_and_another_stopped_under_load(tmp_path: Path) -> None:
    """kill -9 loses no GET; SIGTERM loses nothing at all, for the worker serves until seen."""
    async with AsyncExitStack() as stack:
        quick = {"DRAIN_NOTICE_S": "2"}  # well above interval x fall
        workers = [await stack.enter_async_context(Worker(tmp_path, env=quick)) for _ in range(3)]
        balancer = await stack.enter_async_context(
            Balancer(tmp_path, [cluster("cluster1", [w.address for w in workers])])
        )
        load = Load(balancer.port, connections=8)
        async with load.running():
            await load.wait_answered(100)
            workers[0].signal(signal.SIGKILL)
            await load.wait_answered(200)
            cut_by_kill = load.cut_short
            workers[1].signal(signal.SIGTERM)
            assert await workers[1].wait_exit() == 0
            await load.wait_answered(100)
        assert load.failed == {}
        assert cut_by_kill <= 8
        assert load.cut_short == cut_by_kill
        await balancer.wait_pending(0)


async def test_a_post_is_not_sent_twice_when_its_target_breaks(tmp_path: Path) -> None:
    async with (
        StubTarget(broken) as one,
        StubTarget(broken) as two,
        Balancer(tmp_path, [cluster("cluster1", [one.address, two.address])]) as balancer,
        await Client.connect(balancer.port) as client,
    ):
        await client.send(b"POST /cluster1 HTTP/1.1\r\nHost: test\r\nContent-Length: 2\r\n\r\nhi")
        assert (await client.response("POST")).status == 502
        assert one.count + two.count == 1


async def test_drained_target_gets_nothing_and_comes_back(tmp_path: Path) -> None:
    async with (
        StubTarget() as stays,
        StubTarget() as leaves,
        Balancer(
            tmp_path,
            [cluster("cluster1", [stays.address, leaves.address], policy="round_robin")],
        ) as balancer,
    ):
        target = f"cluster1/{leaves.address}"
        load = Load(balancer.port, connections=8)
        async with load.running():
            await load.wait_answered(100)
            status, _ = await balancer.api(f"/api/targets/{target}/drain", "POST")
            assert status in (200, 202)
            await load.wait_answered(100)  # whatever was on its way when the word arrived
            drained_at = leaves.count
            await load.wait_answered(200)
            assert leaves.count == drained_at
            status, _ = await balancer.api(f"/api/targets/{target}/undrain", "POST")
            assert status in (200, 202)
            while leaves.count < drained_at + 20:
                await load.wait_answered(20)
        assert load.failed == {}
        assert load.cut_short == 0
