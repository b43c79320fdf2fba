"""Whether hedging pays: `python -m loadtest.arena.hedging`, p99 and p99.9 with it over without.

The cells are those of scenarios/hedging.yaml; the same requests, seed by seed, come to balancers
that send who waits too long to a second target and to those that do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Final

import typer

from loadtest.arena.compare import Figures, Ratio, spec_of
from loadtest.arena.files import read_scenarios
from loadtest.arena.scenario import Hedge, Scenario
from loadtest.arena.simulation import Simulation
from loadtest.arena.table import interval, markdown
from services.balancer.pick import build

CELLS: Final = Path(__file__).parent / "scenarios" / "hedging.yaml"
IDLE: Final = ":idle"
HEADINGS: Final = (
    "cell",
    "policy",
    "sent twice",
    "work",
    "mean",
    "p99 (95 %)",
    "p99.9 (95 %)",
    "errors",
)


@dataclass(frozen=True, slots=True)
class Gain:
    """Of one seed, hedged over not. `twice` is a share of the requests, `errors` a difference.

    `work` is what the machines did, what they did in vain included.
    """

    twice: float
    work: float
    p99: float
    p999: float
    mean: float
    errors: float


def run(scenario: Scenario, policy: str, seed: int) -> tuple[Figures, float, int]:
    """The figures, the machines' core-seconds, and how many requests were sent twice."""
    simulation = Simulation(scenario, partial(build, spec_of(policy)), seed)
    figures = Figures.of(simulation.run())
    used_s = sum(machine.used_s for machine in simulation.machines)
    return figures, used_s, 0 if simulation.hedging is None else simulation.hedging.hedged


def gains(scenario: Scenario, policy: str, rules: Sequence[Hedge], seed: int) -> list[Gain]:
    """Of each of the rules, on the same requests."""
    alone, alone_s, _ = run(replace(scenario, hedge=None), policy, seed)
    found = []
    for hedge in rules:
        figures, used_s, twice = run(replace(scenario, hedge=hedge), policy, seed)
        found.append(
            Gain(
                twice / figures.requests,
                used_s / alone_s,
                figures.p99_s / alone.p99_s,
                figures.p999_s / alone.p999_s,
                figures.mean_s / alone.mean_s,
                figures.errors - alone.errors,
            )
        )
    return found


def row(cell: str, policy: str, of_seeds: Sequence[Gain]) -> tuple[str, ...]:
    """Over seeds."""
    return (
        cell,
        policy,
        f"{fmean(each.twice for each in of_seeds):.1%}",
        f"{Ratio.of([each.work for each in of_seeds]).value:.2f}",
        f"{Ratio.of([each.mean for each in of_seeds]).value:.2f}",
        interval(Ratio.of([each.p99 for each in of_seeds])),
        interval(Ratio.of([each.p999 for each in of_seeds])),
        f"{fmean(each.errors for each in of_seeds):+.2%}",
    )


def main(
    *,
    policies: Annotated[str, typer.Option(help="by comma")] = "steelyard,p2c",
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    first_seed: Annotated[int, typer.Option()] = 100,
    rules: Annotated[
        str, typer.Option(help="after which share of the answers, by comma; :idle: to idle targets")
    ] = "0.95,0.99,0.95:idle",
    budget: Annotated[float, typer.Option(help="a share of the requests")] = 0.1,
    only: Annotated[str, typer.Option(help="cells whose name contains this")] = "",
) -> None:
    """Print a table for each rule: p99, p99.9 and mean with hedging over those without."""
    hedges = [
        Hedge(after=float(rule.removesuffix(IDLE)), budget=budget, idle=rule.endswith(IDLE))
        for rule in rules.split(",")
    ]
    span = range(first_seed, first_seed + seeds)
    rows: list[list[tuple[str, ...]]] = [[] for _ in hedges]
    for scenario in read_scenarios(CELLS):
        if only not in scenario.name:
            continue
        for policy in policies.split(","):
            by_seed = [gains(scenario, policy, hedges, seed) for seed in span]
            for table, of_rule in zip(rows, zip(*by_seed, strict=True), strict=True):
                table.append(row(scenario.name, policy, of_rule))
    for hedge, table in zip(hedges, rows, strict=True):
        idle = ", while a target is idle" if hedge.idle else ""
        print(f"after {hedge.after:.0%} of the answers, {hedge.budget:.0%} at most{idle}\n")
        print(markdown(HEADINGS, table), end="\n\n", flush=True)
    print(f"seeds {span[0]} to {span[-1]}")


if __name__ == "__main__":
    typer.run(main)
