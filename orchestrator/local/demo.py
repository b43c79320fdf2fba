"""`steelyard demo`: the whole main job in two minutes, and a report to look at.

Fleet up, 1000 requests to each cluster, a rising load on both, table, report, everything down.
Ctrl-C while k6 runs ends the load and still writes what was measured.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from loadtest import (
    AdminCpu,
    GeneratorMissing,
    Outcome,
    Plan,
    Result,
    Scenario,
    TargetUnreachable,
    drive,
    write_report,
)
from loadtest.report.words import mark, milliseconds
from loadtest.terminal import shown
from orchestrator.local import interrupt
from orchestrator.local.bring_up import brought_up
from orchestrator.local.fleet import FleetError
from orchestrator.local.interrupt import Interrupt
from orchestrator.local.plan import WORK_MS
from orchestrator.local.ports import PortTaken
from orchestrator.local.progress import Stages

TITLE: Final = "Steelyard demo"
# A t2.micro cluster does 4 vCPU / WORK_MS = 200 requests a second at most, a t2.large one 400. The
# load rises to 85 % of the smaller: 340 real requests a second, for two cores that carry k6, too.
RAMP_RATE_PER_S: Final = 170.0
RAMP_S: Final = 15.0


def run(results: Path, *, fixed: Mapping[str, int]) -> int:
    """The exit code: 0, 1 with a message, 130 after Ctrl-C, or what the worst run is worth."""
    stages = Stages(Console())
    try:
        return interrupt.run(lambda stop: _demo(results, stages, stop, fixed))
    except (FleetError, PortTaken, GeneratorMissing, TargetUnreachable, OSError) as error:
        sys.stderr.write(f"steelyard demo: {error}\n")
        return 1


async def _demo(results: Path, stages: Stages, stop: Interrupt, fixed: Mapping[str, int]) -> int:
    folder = new_folder(results, "demo", datetime.now(UTC).astimezone())
    stages.say(TITLE, style="bold")
    done: list[Result] = []
    try:
        async with brought_up(folder / "fleet", stages, stop, fixed=fixed) as fleet:
            for name, plan in _plans(fleet.plan.url).items():
                if stop.received:
                    break
                stages.say(f"  {what(plan)}")
                with stop.gently() as asked, shown(stages.console) as show:
                    cpu = AdminCpu(fleet.plan.admin_url)
                    result = await drive(plan, folder / name, on_progress=show, cpu=cpu, stop=asked)
                say_verdict(stages, result)
                done.append(result)
    finally:
        # Also on the way out of a failure: what was measured is not thrown away.
        stages.say("  everything is stopped")
        if done:
            stages.console.print(table(done))
            page = write_report(done, folder, title=TITLE, intro=intro())
            stages.say(f"  report: {page}", style="bold")
            stages.say(f"  logs:   {folder / 'fleet'}")
    return max(result.verdict.outcome.exit_code for result in done)


def _plans(url: str) -> dict[str, Plan]:
    return {
        "thousand": Plan(target=url, scenario=Scenario.THOUSAND),
        "ramp": Plan(
            target=url, scenario=Scenario.RAMP, rate_per_s=RAMP_RATE_PER_S, duration_s=RAMP_S
        ),
    }


def what(plan: Plan) -> str:
    """A run in words."""
    if plan.scenario.closed_loop:
        return f"{plan.requests} requests to each cluster, {plan.concurrency} at once"
    return f"rising load, up to {plan.rate_per_s:g} requests a second to each cluster"


def say_verdict(stages: Stages, result: Result) -> None:
    """What the run is worth, and why."""
    outcome = result.verdict.outcome
    style = "green" if outcome is Outcome.PASSED else "yellow"
    stages.say(f"  {mark(outcome)} {outcome.value} ({result.wall_s:.1f} s)", style=style)
    for line in (*result.verdict.reasons, *result.notes):
        stages.say(f"    {line}", style=style)


def table(results: Sequence[Result]) -> Table:
    """All clusters of all runs; latency is of answered requests, in milliseconds."""
    columns = ("load", "cluster", "requests", "failed", "a second", "p50 ms", "p95 ms", "p99 ms")
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        grid.add_column(column, justify="left" if column in columns[:2] else "right")
    for result in results:
        for cluster in result.clusters:
            ms = cluster.latency
            grid.add_row(
                result.plan.scenario.value,
                cluster.name,
                f"{cluster.requests:,}",
                f"{cluster.failed:,}",
                f"{cluster.rate_per_s:,.0f}",
                *(
                    milliseconds(value)
                    for value in ((ms.p50_ms, ms.p95_ms, ms.p99_ms) if ms else ())
                ),
            )
    return grid


def intro() -> str:
    """What a reader of the report must know before he believes a figure."""
    return (
        "Modelled machines on one host: each worker is a real HTTP server that answers when a "
        "t2.micro (1 vCPU) or a t2.large (2 vCPU) of the same speed would have, at a mean cost of "
        f"{WORK_MS:g} ms of one vCPU a request (exponentially distributed); both have CPU credits "
        "left. Workers, balancer and k6 share the machine and loopback: compare the clusters with "
        "each other, not with a network."
    )


def new_folder(results: Path, kind: str, now: datetime) -> Path:
    """A new folder in `results`, named after the time. Raises OSError when it cannot be made."""
    stem = f"{now:%Y%m%d-%H%M%S}-{kind}"
    results.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100):
        folder = results / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"{results / stem}: a hundred runs within one second")
