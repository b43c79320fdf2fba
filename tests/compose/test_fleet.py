"""The fleet in containers, on a real engine: up, scaled, killed, drained, down."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest

from services.contract import CLUSTER_LARGE, CLUSTER_MICRO
from tests.compose.fleet import Fleet, docker, instance_id
from tests.compose.traffic import Account, get, traffic, wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

SERVICES = {CLUSTER_MICRO: "worker-micro", CLUSTER_LARGE: "worker-large"}
PATHS = tuple(f"/{cluster}" for cluster in SERVICES)


def ids(fleet: Fleet, service: str) -> set[str]:
    return {instance_id(container) for container in fleet.containers(service)}


async def wait_seen(fleet: Fleet, path: str, instances: set[str]) -> None:
    """Send requests until every one of `instances` has answered one; none may fail."""
    account, deadline = Account(), asyncio.get_running_loop().time() + 60
    async with httpx.AsyncClient(base_url=fleet.url, timeout=20) as client:
        while not instances <= set(account.instances):
            await asyncio.gather(*(get(client, path, account) for _ in range(8)))
            assert account.failed == []
            unseen = instances - set(account.instances)
            assert asyncio.get_running_loop().time() < deadline, f"never answered: {unseen}"


@pytest.mark.parametrize("cluster", SERVICES)
async def test_every_instance_of_a_cluster_answers_on_its_path(fleet: Fleet, cluster: str) -> None:
    workers = ids(fleet, SERVICES[cluster])
    assert len(workers) == 4
    await wait_seen(fleet, f"/{cluster}", workers)


async def test_a_path_leads_to_its_own_cluster_alone(fleet: Fleet) -> None:
    account = Account()
    async with httpx.AsyncClient(base_url=fleet.url, timeout=20) as client:
        for _ in range(20):
            await get(client, f"/{CLUSTER_MICRO}", account)
        assert account.failed == []
        assert set(account.instances) <= ids(fleet, "worker-micro")
        assert (await client.get("/")).text == "steelyard\n"
        assert (await client.get("/nowhere")).status_code == 404


async def test_more_and_fewer_replicas_are_noticed_without_a_restart(fleet: Fleet) -> None:
    [before] = fleet.containers("balancer")
    async with traffic(fleet.url, *PATHS, posts=True) as account:
        try:
            await asyncio.to_thread(fleet.up, worker_micro=6)
            workers = ids(fleet, "worker-micro")
            assert len(workers) == 6
            await wait_seen(fleet, f"/{CLUSTER_MICRO}", workers)
        finally:
            await asyncio.to_thread(fleet.up)
        assert len(ids(fleet, "worker-micro")) == 4
    assert account.failed == []
    assert account.cut == 0
    [after] = fleet.containers("balancer")
    assert (after["Id"], after["State"]["StartedAt"]) == (
        before["Id"],
        before["State"]["StartedAt"],
    )


async def test_a_killed_worker_costs_no_request_and_comes_back(fleet: Fleet) -> None:
    victim = fleet.containers("worker-large")[0]
    async with traffic(fleet.url, *PATHS) as account:
        await wait_until(lambda: account.answered > 100, "traffic flows")
        # By its process: `docker kill` counts as the user's wish, and is not followed by a restart.
        os.kill(victim["State"]["Pid"], signal.SIGKILL)

        def restarted() -> bool:
            [now] = [c for c in fleet.containers("worker-large") if c["Id"] == victim["Id"]]
            return bool(now["RestartCount"] == 1 and now["State"]["Health"]["Status"] == "healthy")

        await wait_until(restarted, "the restart policy brings it back")
    assert account.failed == []
    await wait_seen(fleet, f"/{CLUSTER_LARGE}", {instance_id(victim)})


async def test_a_worker_stopped_gracefully_costs_no_request(fleet: Fleet) -> None:
    leaver = fleet.containers("worker-micro")[0]
    async with traffic(fleet.url, *PATHS, posts=True) as account:
        await wait_until(lambda: account.answered > 100, "traffic flows")
        await asyncio.to_thread(docker, "stop", leaver["Id"])
        [now] = [c for c in fleet.containers("worker-micro") if c["Id"] == leaver["Id"]]
        assert now["State"]["ExitCode"] == 0
        answered = account.answered
        await wait_until(lambda: account.answered > answered + 100, "traffic flows on")
    assert account.failed == []
    assert account.cut == 0
    docker("start", leaver["Id"])
    await wait_seen(fleet, f"/{CLUSTER_MICRO}", {instance_id(leaver)})


def test_containers_have_no_more_rights_than_they_need(fleet: Fleet) -> None:
    for container in fleet.containers():
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert container["Config"]["User"] == "65532:65532"
        assert not any("docker.sock" in mount["Source"] for mount in container["Mounts"])
        assert all(
            binding["HostIp"] == "127.0.0.1"
            for bindings in (host["PortBindings"] or {}).values()
            for binding in bindings
        )


def test_down_stops_cleanly_and_leaves_nothing(small_fleet: Fleet) -> None:
    small_fleet.up(worker_micro=1, worker_large=1)
    assert len(small_fleet.left()) == 5  # three containers, two networks
    small_fleet.compose("stop")
    exits = {c["Name"]: c["State"]["ExitCode"] for c in small_fleet.containers()}
    assert set(exits.values()) == {0}, exits
    small_fleet.down()
    assert small_fleet.left() == []
