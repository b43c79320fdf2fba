"""`steelyard local`: the fleet kept up until Ctrl-C; what dies is started again.

Kill a worker and watch: the balancer takes it out, the fleet starts it again after a short while,
the balancer takes it back.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx
from rich.console import Console

from orchestrator.local import interrupt
from orchestrator.local.bring_up import brought_up
from orchestrator.local.demo import new_folder
from orchestrator.local.fleet import Fleet, FleetError, Health, read_health
from orchestrator.local.interrupt import Interrupt
from orchestrator.local.plan import Program
from orchestrator.local.ports import PortTaken
from orchestrator.local.progress import Stages
from orchestrator.local.running import ending

# As Docker's restart policy: the wait doubles with each death and starts over after a good while.
FIRST_WAIT_S: Final = 2.0  # long enough to see the balancer without it
LONGEST_WAIT_S: Final = 30.0
GOOD_LIFE_S: Final = 10.0
LOOK_EVERY_S: Final = 0.5

Say = Callable[[str], None]


def run(results: Path, *, fixed: Mapping[str, int]) -> int:
    """The exit code: 130 after Ctrl-C, 1 with a message."""
    stages = Stages(Console())
    try:
        return interrupt.run(lambda stop: _serve(results, stages, stop, fixed))
    except (FleetError, PortTaken, OSError) as error:
        sys.stderr.write(f"steelyard local: {error}\n")
        return 1


async def _serve(results: Path, stages: Stages, stop: Interrupt, fixed: Mapping[str, int]) -> int:
    folder = new_folder(results, "local", datetime.now(UTC).astimezone())

    def say(text: str) -> None:
        stages.say(f"{datetime.now(UTC).astimezone():%H:%M:%S} {text}")

    async with brought_up(folder, stages, stop, fixed=fixed) as fleet:
        stages.say(addresses(fleet))
        async with asyncio.TaskGroup() as group:
            group.create_task(report_health(fleet, say))
            for program in fleet.plan.programs:
                group.create_task(keep_up(fleet, program, say))
    return 0


def addresses(fleet: Fleet) -> str:
    """Where everything listens, and what to try."""
    plan = fleet.plan
    lines = [f"\n  balancer   {plan.url}", f"  admin API  {plan.admin_url}"]
    for cluster, workers in plan.clusters.items():
        lines.append(f"  {cluster}   {plan.url}/{cluster}")
        lines += [
            f"    {w.name}  http://{w.address}  {w.instance_type}, "
            f"process {fleet.running[w.name].pid}"
            for w in workers
        ]
    victim = plan.workers[0]
    lines += [
        f"  logs       {plan.config.parent}",
        "",
        "  Try in another terminal:",
        *(f"    curl {plan.url}/{cluster}" for cluster in plan.clusters),
        f"    curl {plan.admin_url}/api/clusters",
        f"    kill -9 {fleet.running[victim.name].pid}    # {victim.name} goes, and comes back",
        "  Ctrl-C stops everything.",
        "",
    ]
    return "\n".join(lines)


async def keep_up(
    fleet: Fleet,
    program: Program,
    say: Say,
    *,
    first_wait_s: float = FIRST_WAIT_S,
    longest_wait_s: float = LONGEST_WAIT_S,
) -> None:
    """Start the program again whenever it has ended; until cancelled."""
    wait_s = first_wait_s
    while True:
        began = time.monotonic()
        code = await fleet.running[program.name].wait()
        if time.monotonic() - began >= GOOD_LIFE_S:
            wait_s = first_wait_s
        say(f"{program.name} {ending(code)}: again in {wait_s:g} s (log: {program.log})")
        await asyncio.sleep(wait_s)
        running = await fleet.start(program)
        say(f"{program.name} started again, process {running.pid}")
        wait_s = min(wait_s * 2, longest_wait_s)


async def report_health(fleet: Fleet, say: Say) -> None:
    """Tell of every target that the balancer takes out or back; until cancelled."""
    names = {worker.target_id: worker.name for worker in fleet.plan.workers}
    before = Health(frozenset(names), len(names), balancer_answers=True)
    async with httpx.AsyncClient(
        base_url=fleet.plan.admin_url, timeout=2.0, trust_env=False
    ) as admin:
        while True:
            now = await read_health(admin, set(names))
            if not now.balancer_answers:
                if before.balancer_answers:
                    say("the balancer's admin API does not answer")
                now = Health(before.healthy, before.total, balancer_answers=False)
            for target in sorted(before.healthy - now.healthy):
                say(f"the balancer has taken {names[target]} out ({target})")
            for target in sorted(now.healthy - before.healthy):
                say(f"the balancer has taken {names[target]} back ({target})")
            before = now
            await asyncio.sleep(LOOK_EVERY_S)
