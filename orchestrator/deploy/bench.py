"""The same load on every front of a deployment, CPU of every machine beside it, one report.

The load, its figures and its report are `loadtest`'s. Fronts are loaded one after the other, as
they share their workers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from loadtest import Outcome, Plan, Result, Scenario, write_report
from loadtest.compare import NOTE, Comparison, compare
from loadtest.cpu import CpuReading
from loadtest.report.comparison import write_comparison
from loadtest.result import write_result
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report
from orchestrator.deploy.fronts import BALANCER, Front
from orchestrator.deploy.machine_cpu import METRIC, Series, Span, wait_fetched
from orchestrator.deploy.members import Machine, members
from orchestrator.deploy.resource import Scope

Run = Callable[[Plan, Path], Result]
PLAYED: Final = "local cloud: machines are containers that share this one's CPUs; not AWS's figures"
STAND_IN: Final = "a stand-in answered, not a load balancer of AWS: its figures say nothing of one"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    """How long to wait for CloudWatch, and how wide its periods are."""

    period_s: int
    patience: Patience


# Detailed monitoring, which all templates of ours ask for, has a figure a minute, and it is late.
AWS_METERING: Final = Metering(period_s=60, patience=Patience(deadline_s=300, pause_s=15))
# Twenty cloud minutes are one of the wall clock's, by which the figures are stamped.
LOCAL_METERING: Final = Metering(period_s=5, patience=Patience(deadline_s=20, pause_s=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One run on one front, and the machines there were."""

    front: Front
    folder: Path
    result: Result
    machines: tuple[Machine, ...]

    @property
    def span(self) -> Span:
        began_s = datetime.fromisoformat(self.result.began_at).timestamp()
        return Span(began_s, began_s + self.result.wall_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What came of one scenario."""

    results: tuple[Result, ...]
    comparison: Comparison | None  # None: there is one front only
    page: Path


def plans_for(plan: Plan, fronts: Sequence[Front], local: bool) -> list[Plan]:
    """The same plan for each front; what its readers must know goes along with the results."""
    made = []
    for front in fronts:
        notes = [PLAYED] if local else []
        notes += [STAND_IN] if local and front.name != BALANCER else []
        tags = (("front", front.called(local)), *((NOTE, words) for words in notes))
        made.append(dataclasses.replace(plan, target=front.url, tags=tags))
    return made


def take(
    aws: Aws,
    scope: Scope,
    fronts: Sequence[Front],
    plans: Sequence[Plan],
    *,
    out: Path,
    run: Run,
) -> list[Taken]:
    """One plan a front, in turn; an interrupted run is the last. Raises what `run` raises."""
    taken = []
    for front, plan in zip(fronts, plans, strict=True):
        folder = out / f"{plan.scenario.value}-{front.name}"
        before = _running(aws, scope)
        result = run(plan, folder)
        # Scaling may bring machines during a run, and take some away.
        machines = tuple((before | _running(aws, scope)).values())
        taken.append(Taken(front=front, folder=folder, result=result, machines=machines))
        if result.verdict.outcome is Outcome.INTERRUPTED:
            break
    return taken


def _running(aws: Aws, scope: Scope) -> dict[str, Machine]:
    return {one.ident: one for one in members(aws, scope).machines if one.state == "running"}


def with_cpu(aws: Aws, taken: Sequence[Taken], metering: Metering, report: Report) -> list[Taken]:
    """CPU of each run's machines put into its result, and its files written again.

    Errors:
        CloudError: CloudWatch refused.
    """
    idents = sorted({machine.ident for one in taken for machine in one.machines})
    series = wait_fetched(
        aws,
        idents,
        [one.span for one in taken],
        period_s=metering.period_s,
        report=report,
        patience=metering.patience,
    )
    done = []
    for one in taken:
        result = metered(one, series, metering.period_s)
        write_result(result, one.folder)
        done.append(dataclasses.replace(one, result=result))
    return done


def metered(one: Taken, series: Series, period_s: int) -> Result:
    """The run's result with CPU of its whole periods; what is missing is said in words. Pure."""
    periods = one.span.whole(period_s)
    readings, without = [], []
    for machine in one.machines:
        points = series.get(machine.ident, {})
        found = [at for at in periods if at in points]
        name = f"{machine.cluster or machine.resource}/{machine.ident}"
        readings += [CpuReading(at - one.span.begin_s, name, points[at] / 100) for at in found]
        without += [] if found else [machine.ident]
    words = f"{METRIC} of EC2 from CloudWatch, means of {period_s} s within the run"
    if not periods:
        words = f"no CPU figures: no whole {period_s} s of CloudWatch lie within so short a run"
    elif without:
        words += f"; none of {', '.join(without)}"
    return dataclasses.replace(one.result, cpu=tuple(readings), cpu_words=words)


def reports(taken: Sequence[Taken], out: Path, *, local: bool) -> list[Written]:
    """A report a scenario: of the one front, or a comparison of them. Raises OSError."""
    made = []
    for scenario in Scenario:
        same = [one for one in taken if one.result.plan.scenario is scenario]
        if not same:
            continue
        results = tuple(one.result for one in same)
        title = f"Benchmark: {scenario.value}" + (" (local cloud)" if local else "")
        page = write_report(
            results, out / scenario.value, title=title, intro=PLAYED if local else ""
        )
        comparison = None
        if len(same) > 1:
            comparison = compare(results, [one.front.called(local) for one in same])
            page = write_comparison(comparison, out / scenario.value)
        made.append(Written(results=results, comparison=comparison, page=page))
    return made


def need_fronts(fronts: Sequence[Front], name: str) -> None:
    """Raises CloudError where there is nothing to load."""
    if not fronts:
        raise CloudError(f"bench {name}", "no front was found", "make up first")
