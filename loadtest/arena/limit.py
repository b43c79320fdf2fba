"""What hearing late costs, whatever the policy: `python -m loadtest.arena.limit`.

Balancers that know each machine's true speed of the moment, but hear of each other's requests only
by what they tell each other. The cells are the matrix's with several balancers. Nobody who has to
find out the speeds should be much better; what is left to find out is between the two columns.
"""

from __future__ import annotations

import os
from math import exp, fsum, log
from typing import Annotated, Final

import typer

from loadtest.arena.compare import SPEEDS_KNOWN, Cell, compare
from loadtest.arena.files import read_scenarios
from loadtest.arena.processes import MATRIX
from loadtest.arena.table import interval, markdown

HEADINGS: Final = ("cell", "news every, ms", "speeds known", "steelyard")
HOUSE: Final = "steelyard"


def row(cell: Cell) -> tuple[str, ...]:
    """p99 over the oracle's with both."""
    ratios = [interval(cell.ratio(policy)) for policy in (SPEEDS_KNOWN, HOUSE)]
    return (cell.scenario.name, f"{cell.scenario.news_s * 1e3:.0f}", *ratios)


def mean(cells: list[Cell], policy: str) -> str:
    """Over all cells, geometric."""
    return f"{exp(fsum(log(cell.ratio(policy).value) for cell in cells) / len(cells)):.2f}"


def main(
    seeds: Annotated[int, typer.Option(min=1)] = 5,
    first_seed: Annotated[int, typer.Option()] = 100,
    only: Annotated[str, typer.Option(help="cells whose name contains this")] = "",
    jobs: Annotated[int, typer.Option(min=1)] = os.cpu_count() or 1,
) -> None:
    """Print a table: for each cell with several balancers, p99 over the oracle's."""
    span = range(first_seed, first_seed + seeds)
    several = [s for s in read_scenarios(MATRIX) if s.balancers > 1 and only in s.name]
    cells = compare(several, (SPEEDS_KNOWN, HOUSE), span, jobs=jobs)
    rows = [*map(row, cells), ("all", "", mean(cells, SPEEDS_KNOWN), mean(cells, HOUSE))]
    print(markdown(HEADINGS, rows))
    print(f"\nseeds {span[0]} to {span[-1]}")


if __name__ == "__main__":
    typer.run(main)
