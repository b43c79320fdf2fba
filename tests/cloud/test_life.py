"""The life of a deployment, played once from the first command to the last, in this order.

Each part goes on from where the one before it ended, as a user's day does.
"""

from __future__ import annotations

import asyncio
import io
import re
from typing import Any

import docker
import pytest

from orchestrator.localcloud.containers import OWNER, name_of
from orchestrator.localcloud.registry import PASSWORD, USER
from services.contract import IMAGE_WORKER
from tests.cloud.account import CLUSTERS, User, load_on, until
from tests.stand.client import Client, Load

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(600),
    # The cloud's process is meant to outlive the command that started it.
    pytest.mark.filterwarnings("ignore:subprocess [0-9]+ is still running:ResourceWarning"),
]

ROLL_REQUESTS = 5000


def address_of(user: User) -> str:
    return str(user.client("ec2").describe_addresses()["Addresses"][0]["PublicIp"])


def health(seen: dict[str, Any]) -> dict[str, set[str]]:
    """How balancers see the machines of each cluster."""
    states: dict[str, set[str]] = {name: set() for name in CLUSTERS}
    for machine in seen["machines"]:
        if machine["of"] in states and machine["state"] == "running":
            states[machine["of"]] |= set(machine["health"].values())
    return states


async def all_healthy(user: User, cluster: str, number: int) -> set[str]:
    """Wait until so many machines of a cluster are in service and healthy to the balancer."""
    await until(lambda: len(user.in_service(cluster)) == number, f"{number} in {cluster}")
    for _ in range(60):
        seen = await user.sees()
        members = user.in_service(cluster)
        states = {m["id"]: set(m["health"].values()) for m in seen["machines"]}
        if len(members) == number and all(states.get(m) == {"healthy"} for m in members):
            return members
        await asyncio.sleep(1)
    raise AssertionError(f"{cluster} is not healthy: {seen}")


def owned(user: User) -> dict[str, str | list[str] | bool]:
    """The engine's filter for what is this cloud's."""
    return {"label": f"{OWNER}={name_of(user.state)}"}


def push(user: User, engine: docker.DockerClient, tag: str, dockerfile: str) -> None:
    """Another version of the worker, straight into the registry."""
    repositories = user.client("ecr").describe_repositories(repositoryNames=[IMAGE_WORKER])
    uri = repositories["repositories"][0]["repositoryUri"]
    text = f"FROM {IMAGE_WORKER}:latest\n{dockerfile}\n"
    engine.images.build(fileobj=io.BytesIO(text.encode()), tag=f"{uri}:{tag}", rm=True)
    login = {"username": USER, "password": PASSWORD}
    told = engine.images.push(uri, tag=tag, auth_config=login)
    assert "errorDetail" not in told, told


async def test_images_are_pushed_once(user: User) -> None:
    first = await user.types("images", "push", "--file", str(user.file))
    assert first.count("sha256:") == 2
    again = await user.types("images", "push", "--file", str(user.file))
    assert again.count("already there") == 2


async def test_a_plan_changes_nothing(user: User) -> None:
    shown = await user.deploys("plan")
    assert "to create" in shown
    assert "an hour" in shown
    assert (await user.sees())["things"] == []


async def test_up_ends_when_both_clusters_answer(user: User) -> None:
    shown = await user.deploys("up", "--yes")
    address = address_of(user)
    assert f"http://{address}/" in shown
    assert health(await user.sees()) == {name: {"healthy"} for name in CLUSTERS}
    async with await Client.connect(80, address) as client:
        for name in CLUSTERS:
            answer = await client.get(f"/{name}")
            assert answer.status == 200
            assert answer.body.decode().split('"')[3] in user.in_service(name)
        assert (await client.get("/nowhere")).status == 404


async def test_up_again_changes_nothing(user: User) -> None:
    before = await user.sees()
    await user.deploys("up", "--yes")
    after = await user.sees()
    assert after["things"] == before["things"]
    assert [m["id"] for m in after["machines"]] == [m["id"] for m in before["machines"]]


async def test_a_command_and_what_the_containers_wrote(user: User) -> None:
    (one,) = user.in_service("cluster1")
    told = await user.types("exec", "--file", str(user.file), one, "--", "docker", "ps", "-q")
    assert re.search(r"^[0-9a-f]{12}$", told, re.MULTILINE)
    await user.types("exec", "--file", str(user.file), one, "--", "sh", "-c", "exit 3", status=3)
    assert one in await user.deploys("logs", "cluster1", "--since", "1h")


async def test_a_killed_machine_is_replaced_and_the_new_one_serves(
    user: User, engine: docker.DockerClient
) -> None:
    before = user.in_service("cluster2")
    victim = min(before)
    mine = engine.containers.list(filters=owned(user), ignore_removed=True)
    next(c for c in mine if victim in (c.name or "")).kill()
    await until(lambda: victim not in user.in_service("cluster2"), "the dead one is out")
    after = await all_healthy(user, "cluster2", 2)
    assert len(after - before) == 1


async def test_a_roll_under_load_loses_no_request(user: User, engine: docker.DockerClient) -> None:
    before = user.in_service("cluster2")
    push(user, engine, "a" * 16, "LABEL version=second")
    async with load_on(address_of(user)) as loads:
        await user.deploys("roll", "--image-tag", "a" * 16, "--cluster", "cluster2", "--warm", "2")
        await until(lambda: sum(one.answered for one in loads) >= ROLL_REQUESTS, "enough requests")
    after = await all_healthy(user, "cluster2", 2)
    assert not after & before


async def test_a_version_that_does_not_start_is_taken_back(
    user: User, engine: docker.DockerClient
) -> None:
    before = user.in_service("cluster2")
    push(user, engine, "b" * 16, 'ENTRYPOINT ["false"]')
    async with load_on(address_of(user), connections=2):
        told = await user.deploys(
            "roll", "--image-tag", "b" * 16, "--cluster", "cluster2", "--warm", "2", status=1
        )
    assert "error:" in told
    assert await all_healthy(user, "cluster2", 2) == before


async def test_the_policy_scales_out_and_in_without_a_lost_request(user: User) -> None:
    address = address_of(user)
    async with load_on(address, connections=1):
        busy = Load(80, "/cluster1", connections=6, host=address)
        async with busy.running():
            await until(lambda: len(user.in_service("cluster1")) == 2, "scaled out", 180)
            await all_healthy(user, "cluster1", 2)
        assert (busy.failed, busy.cut_short) == ({}, 0)
        await until(lambda: len(user.in_service("cluster1")) == 1, "scaled in", 240)
        await until(lambda: len(user.group("cluster1")["Instances"]) == 1, "drained and gone")


async def test_a_spot_interruption_loses_no_request(user: User) -> None:
    before = user.in_service("cluster2")
    victim = min(before)
    async with load_on(address_of(user), connections=2):
        await user.types("cloud", "interrupt", victim)
        await until(lambda: victim not in user.in_service("cluster2"), "taken back")
        after = await all_healthy(user, "cluster2", 2)
    assert victim not in after


async def test_a_machine_that_cannot_pull_is_seen(user: User, engine: docker.DockerClient) -> None:
    network = name_of(user.state)
    registry = engine.containers.get(f"{network}-registry")
    registry.stop(timeout=1)
    victim = min(user.in_service("cluster2"))
    user.client("autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=victim, ShouldDecrementDesiredCapacity=False
    )
    await until(lambda: victim not in user.in_service("cluster2"), "the old one goes")

    async def told() -> str:
        machines = (await user.sees())["machines"]
        return " ".join(m["boot"] for m in machines).strip()

    for _ in range(120):
        if said := await told():
            break
        await asyncio.sleep(2)
    assert "steelyard-boot" in said
    assert said.splitlines()[-1] in await user.deploys("status")


async def test_down_leaves_nothing(user: User, engine: docker.DockerClient) -> None:
    shown = await user.deploys("down", "--yes")
    assert "nothing is left" in shown
    assert (await user.sees())["things"] == []
    mine = owned(user)
    names = [
        one.name for one in engine.containers.list(all=True, filters=mine, ignore_removed=True)
    ]
    assert [name for name in names if name and not name.endswith("-registry")] == []
    assert await user.types("kill", "--yes")


async def test_the_cloud_itself_ends(user: User, engine: docker.DockerClient) -> None:
    await user.types("cloud", "stop")
    mine = owned(user)
    assert engine.containers.list(all=True, filters=mine, ignore_removed=True) == []
    assert engine.networks.list(filters=mine) == []
