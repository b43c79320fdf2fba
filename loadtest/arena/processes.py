"""What is lost when one balancer is four processes: `python -m loadtest.arena.processes`.

Each process has a policy of its own, and reads in shared memory what the others have pending and
what they were answered. The cells are the matrix's with one balancer; the same requests, seed by
seed, come to one process and to four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtest.arena.compare import Ratio, one_run
from loadtest.arena.files import read_scenarios
from loadtest.arena.scenario import Scenario
from loadtest.arena.table import interval, markdown

MATRIX: Final = Path(__file__).parent / "scenarios" / "matrix.yaml"
HEADINGS: Final = ("cell", "policy", "p99, 4 processes / 1 (95 %)")


def cells(only: str) -> list[Scenario]:
    """Those of the matrix that have one balancer and whose name contains `only`."""
    return [s for s in read_scenarios(MATRIX) if s.balancers == 1 and only in s.name]


def lost(scenario: Scenario, policy: str, processes: int, seeds: Sequence[int]) -> list[float]:
    """By seed, the p99 of so many processes over that of one."""
    several = replace(scenario, processes=processes)
    return [
        one_run((several, policy, seed)).p99_s / one_run((scenario, policy, seed)).p99_s
        for seed in seeds
    ]


def main(
    policies: Annotated[str, typer.Option(help="by comma")] = "steelyard",
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    first_seed: Annotated[int, typer.Option()] = 100,
    processes: Annotated[int, typer.Option(min=2)] = 4,
    only: Annotated[str, typer.Option(help="cells whose name contains this")] = "",
) -> None:
    """Print a table: for each cell with one balancer, p99 of several processes over that of one."""
    span = range(first_seed, first_seed + seeds)
    rows = []
    for policy in policies.split(","):
        everywhere: list[float] = []
        for scenario in cells(only):
            ratios = lost(scenario, policy, processes, span)
            everywhere += ratios
            rows.append((scenario.name, policy, interval(Ratio.of(ratios))))
        rows.append(("all", policy, interval(Ratio.of(everywhere))))
    headings = (*HEADINGS[:2], HEADINGS[2].replace("4", str(processes)))
    print(markdown(headings, rows))
    print(f"\nseeds {span[0]} to {span[-1]}")


if __name__ == "__main__":
    typer.run(main)
