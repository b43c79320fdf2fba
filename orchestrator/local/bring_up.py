"""From nothing to a healthy fleet: ports -> plan -> start -> wait, with the user looking on."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from orchestrator.local.fleet import Fleet, Health, ProgramDied
from orchestrator.local.interrupt import Interrupt
from orchestrator.local.plan import BALANCER, FleetPlan, make_plan, usual_ports
from orchestrator.local.ports import choose_ports, is_free
from orchestrator.local.progress import Stage, Stages

ATTEMPTS: Final = 3  # a port that was free a moment ago may be taken by the time of the bind


@asynccontextmanager
async def brought_up(
    folder: Path, stages: Stages, interrupt: Interrupt, *, fixed: Mapping[str, int]
) -> AsyncIterator[Fleet]:
    """A healthy fleet inside the block, its logs and configuration in `folder`; nothing after it.

    fixed: ports that the user insists on, by program name.
    Raises PortTaken, FleetError, OSError.
    """
    for left in reversed(range(ATTEMPTS)):
        choice = choose_ports(usual_ports(), fixed=fixed)
        for move in choice.moves:
            stages.say(
                f"  port {move.usual} is taken: {move.name} listens on {move.port}", style="yellow"
            )
        plan = make_plan(choice.ports, folder)
        async with Fleet(plan, interrupt.hurry) as fleet:
            try:
                await _wait(fleet, stages)
            except ProgramDied as died:
                if not left or died.program.name in fixed or is_free(died.program.port):
                    raise
                port = died.program.port
            except asyncio.CancelledError:
                stages.say("  stopping everything ...", style="yellow")
                raise
            else:
                try:
                    yield fleet
                except asyncio.CancelledError:
                    stages.say("  stopping everything ...", style="yellow")
                    raise
                return
        stages.say(f"  port {port} was taken meanwhile: once more, on other ports", style="yellow")


async def _wait(fleet: Fleet, stages: Stages) -> None:
    count = len(fleet.plan.workers)
    with stages.stage(
        f"starting {words(fleet.plan)}", f"{count} workers healthy through the balancer"
    ) as stage:
        await fleet.wait_healthy(lambda health: _show(stage, health))


def words(plan: FleetPlan) -> str:
    """What the fleet consists of: "4 t2.micro and 4 t2.large workers and the balancer"."""
    kinds = Counter(worker.instance_type for worker in plan.workers)
    return " and ".join(f"{n} {kind}" for kind, n in kinds.items()) + f" workers and the {BALANCER}"


def _show(stage: Stage, health: Health) -> None:
    note = f"{len(health.healthy)} of {health.total} healthy"
    stage.show(len(health.healthy), health.total, note if health.balancer_answers else "booting")
