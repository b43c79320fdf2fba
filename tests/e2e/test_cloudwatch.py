"""The balancer as processes beside a CloudWatch that takes everything, and one that hangs."""

from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path

from tests.stand.balancer import Balancer, cluster
from tests.stand.client import Load
from tests.stand.cloudwatch import endpoint, environment
from tests.stand.proc import wait_until
from tests.stand.target import StubTarget

SETTINGS = {"deployment": "demo", "region": "eu-west-1", "interval_s": 1}


async def test_every_request_is_published_once_the_last_ones_at_the_end(tmp_path: Path) -> None:
    with endpoint() as cloud:
        async with (
            StubTarget() as target,
            Balancer(
                tmp_path,
                [cluster("cluster1", [target.address])],
                processes=2,
                env=environment(cloud.port, tmp_path),
                cloudwatch=SETTINGS,
            ) as balancer,
        ):
            mine = {"Deployment": "demo", "Cluster": "cluster1"}
            load = Load(balancer.port, connections=8)
            async with load.running():
                await load.wait_answered(300)
                await wait_until(lambda: cloud.sum("Requests", **mine) > 0, "a minute")
                await load.wait_answered(600)
            balancer.signal(signal.SIGTERM)
            assert await balancer.wait_exit() == 0
            assert cloud.sum("Requests", **mine) == load.answered
            assert cloud.sum("Requests", Deployment="demo") == load.answered
            assert cloud.sum("Errors5xx", **mine) == 0
            latencies = cloud.named("Latency", **mine)
            assert sum(sum(datum["Counts"]) for datum in latencies) == load.answered
            assert {d["Value"] for d in cloud.named("HealthyHosts", **mine)} == {1.0}


async def test_an_endless_cloudwatch_delays_nobody(tmp_path: Path) -> None:
    """It takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        async with (
            StubTarget() as target,
            Balancer(
                tmp_path,
                [cluster("cluster1", [target.address], policy="lowest_cpu")],
                env=environment(hole.getsockname()[1], tmp_path),
                cloudwatch=SETTINGS,
            ) as balancer,
        ):
            hole.setblocking(False)
            async with asyncio.timeout(20.0):
                caught, _ = await asyncio.get_running_loop().sock_accept(hole)
            with caught:  # a call is out, and stays out
                load = Load(balancer.port, connections=4)
                async with load.running():
                    await load.wait_answered(500)
                assert load.failed == {}
                assert (await balancer.api("/readyz"))[0] == 200
                balancer.signal(signal.SIGTERM)
                assert await balancer.wait_exit(12.0) == 0  # a call alone may take twice 7 s
            assert balancer.events("CloudWatch was not told the last")
