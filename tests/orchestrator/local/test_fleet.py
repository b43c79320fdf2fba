"""Start, wait until healthy, stop: with real processes, cheap ones."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from orchestrator.local.fleet import Fleet, FleetError, Health, ProgramDied, read_health
from orchestrator.local.plan import FleetPlan
from orchestrator.local.ports import choose_ports
from orchestrator.local.running import last_lines, start
from orchestrator.local.serve import keep_up
from tests.orchestrator.local.command import wait_until
from tests.orchestrator.local.with_stand_ins import stand_in_plan


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FleetPlan:
    """One worker a cluster and the balancer, as stand-ins."""
    return small_plan(tmp_path, monkeypatch, {})


def small_plan(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, list[str]]
) -> FleetPlan:
    monkeypatch.setenv("FLEET_OPTIONS", json.dumps(options))
    names = ("balancer", "admin", "micro-1", "micro-2", "large-1", "large-2")
    ports = choose_ports({name: 9301 + at for at, name in enumerate(names)}, fixed={}).ports
    return stand_in_plan(ports, folder / "fleet", count=2)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_all_healthy_and_then_all_gone(plan: FleetPlan) -> None:
    pictures: list[Health] = []
    async with Fleet(plan, asyncio.Event()) as fleet:
        await fleet.wait_healthy(pictures.append)
        running = list(fleet.running.values())
        assert [r.returncode for r in running] == [None] * 5
    assert pictures[-1].healthy == {worker.target_id for worker in plan.workers}
    assert not any(alive(r.pid) for r in running)
    assert [r.returncode for r in running] == [0] * 5, "each was asked, and ended in order"


async def test_a_worker_that_dies_is_named_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tmp_path, monkeypatch, {"micro-2": ["--die", "3"]})
    fleet = Fleet(plan, asyncio.Event())
    with pytest.raises(ProgramDied) as died:
        async with fleet:
            await fleet.wait_healthy(lambda health: None)
    message = str(died.value)
    assert message.startswith("micro-2 ended with code ")
    assert "the last word\n" in message
    assert str(plan.workers[1].log) in message
    assert not any(alive(r.pid) for r in fleet.running.values())


async def test_time_is_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = small_plan(tmp_path, monkeypatch, {})
    # The balancer looks for micro-1 where nobody listens.
    argv = tuple(a.replace(plan.workers[0].address, "127.0.0.1:1") for a in plan.balancer.argv)
    plan = dataclasses.replace(plan, balancer=dataclasses.replace(plan.balancer, argv=argv))
    wanted = {worker.target_id for worker in plan.workers}
    async with (
        Fleet(plan, asyncio.Event()) as fleet,
        httpx.AsyncClient(base_url=plan.admin_url, trust_env=False) as admin,
        asyncio.timeout(20),
    ):
        while len((await read_health(admin, wanted)).healthy) < 3:  # noqa: ASYNC110 - from outside
            await asyncio.sleep(0.01)
        with pytest.raises(FleetError, match=r"not healthy after 0 s: micro-1; a log: .*-1\.log"):
            await fleet.wait_healthy(lambda health: None, deadline_s=0.0)


async def test_a_stubborn_program_is_killed_at_once_in_a_hurry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tmp_path, monkeypatch, {"large-1": ["--stubborn"]})
    hurry = asyncio.Event()
    began = asyncio.get_running_loop().time()
    async with Fleet(plan, hurry) as fleet:
        await fleet.wait_healthy(lambda health: None)
        hurry.set()
    assert fleet.running["large-1"].returncode == -signal.SIGKILL
    assert asyncio.get_running_loop().time() - began < 8


async def test_children_that_a_program_leaves_behind_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = small_plan(tmp_path, monkeypatch, {"micro-1": ["--child"]})
    async with Fleet(plan, asyncio.Event()) as fleet:
        await fleet.wait_healthy(lambda health: None)
        parent = fleet.running["micro-1"].pid
        (child,) = children(parent)
    # It was our grandchild: somebody else reaps it, if anybody does.
    wait_until(lambda: not alive(child) or state(child) == "Z", "the child is dead", deadline_s=5)


def children(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def test_cancelled_again_and_again_while_starting(plan: FleetPlan) -> None:
    """Whenever the cancellation comes, nothing is left."""
    for turns in (0, 1, 2, 5, 10, 30, 100):
        fleet = Fleet(plan, asyncio.Event())

        async def up(fleet: Fleet = fleet) -> None:
            async with fleet:
                await fleet.wait_healthy(lambda health: None)
                await asyncio.sleep(60)

        task = asyncio.ensure_future(up())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not any(alive(r.pid) for r in fleet.running.values())


async def test_what_dies_is_started_again(plan: FleetPlan) -> None:
    said: list[str] = []
    async with Fleet(plan, asyncio.Event()) as fleet:
        await fleet.wait_healthy(lambda health: None)
        worker = plan.workers[0]
        keeping = asyncio.ensure_future(
            keep_up(fleet, worker, said.append, first_wait_s=0.1, longest_wait_s=0.2)
        )
        for waits in ("0.1 s", "0.2 s", "0.2 s"):
            killed = fleet.running[worker.name]
            killed.send(signal.SIGKILL)
            async with asyncio.timeout(10):
                while len(said) % 2 == 0:  # noqa: ASYNC110 - a look from outside
                    await asyncio.sleep(0.01)
            assert f"{worker.name} was ended by SIGKILL: again in {waits}" in said[-1]
            async with asyncio.timeout(10):
                while len(said) % 2 == 1:  # noqa: ASYNC110 - a look from outside
                    await asyncio.sleep(0.01)
        await fleet.wait_healthy(lambda health: None)
        keeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await keeping


async def test_the_users_settings_of_a_balancer_do_not_reach_this_one(plan: FleetPlan) -> None:
    program = dataclasses.replace(plan.balancer, argv=("env",), env={"ADDED": "1"})
    program.log.parent.mkdir()
    running = await start(program, {"PATH": os.environ["PATH"], "STEELYARD_LISTEN": "other:1"})
    assert await running.wait() == 0
    lines = last_lines(program.log)
    assert "ADDED=1" in lines
    assert not any("STEELYARD" in line for line in lines)


async def test_a_program_that_is_not_there(plan: FleetPlan) -> None:
    program = dataclasses.replace(plan.balancer, argv=("no-such-program",))
    program.log.parent.mkdir()
    running = await start(program)
    assert await running.wait() != 0
    assert last_lines(program.log) == ["no-such-program: No such file or directory"]
