"""`python -m loadtest.arena`: scenarios x policies x seeds, beside the oracle."""

from __future__ import annotations

import sys
from pathlib import Path
from time import perf_counter
from typing import Annotated, Final

import typer
from rich.console import Console

from loadtest.arena.cells import everything
from loadtest.arena.compare import Cell, compare, spec_of
from loadtest.arena.files import BadScenario, read_scenarios
from loadtest.arena.output import write_html, write_json
from loadtest.arena.scenario import Scenario
from loadtest.arena.summary import summary
from loadtest.arena.table import tables

SCENARIOS: Final = Path(__file__).parent / "scenarios"
MATRIX: Final = SCENARIOS / "matrix.yaml"
PUBLISHED: Final = 100  # the first seed of what is reported; 0-9 are for tuning
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

words = Console(stderr=True)


def main(
    *,
    scenario: Annotated[
        list[Path] | None, typer.Option(help="scenario file; default: the matrix's 24 cells")
    ] = None,
    policies: Annotated[str, typer.Option(help="by comma; a parameter: prequal:q_rif=0.9")] = (
        "steelyard,least_time,least_pending,peak_ewma,p2c,weighted_round_robin"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="how many")] = 10,
    first_seed: Annotated[int, typer.Option(help="0 to tune by, 100 to report")] = PUBLISHED,
    only: Annotated[str, typer.Option(help="scenarios whose name contains this")] = "",
    everything_: Annotated[
        bool, typer.Option("--everything", help="all 1,008 cells of the matrix: days")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    json: Annotated[Path | None, typer.Option(help="every figure, to this file")] = None,
    html: Annotated[Path | None, typer.Option(help="tables and charts, to this file")] = None,
) -> None:
    """Compare policies in simulated time."""
    names = [name for name in policies.split(",") if name]
    chosen: list[Scenario] = []
    try:
        for name in names:
            spec_of(name)
        for path in scenario or ([] if everything_ else [MATRIX]):
            chosen += read_scenarios(path)
    except (BadScenario, ValueError) as error:
        words.print(str(error), style="red", markup=False)
        raise typer.Exit(EXIT_USAGE) from error
    chosen += everything() if everything_ else []
    chosen = [each for each in chosen if only in each.name]
    if not chosen:
        words.print(f"no scenario is called {only!r}", style="red", markup=False)
        raise typer.Exit(EXIT_USAGE)
    started = perf_counter()
    cells: list[Cell] = []
    try:
        for each in chosen:
            span = range(first_seed, first_seed + seeds)
            (cell,) = compare([each], names, span, jobs=jobs)
            cells.append(cell)
            print(tables([cell]), flush=True)
            print(flush=True)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print(summary(cells))
    took_s = perf_counter() - started
    requests = sum(cell.requests for cell in cells)
    words.print(f"{requests:,} requests in {took_s:.0f} s: {requests / took_s * 60:,.0f} a minute")
    if json is not None:
        write_json(cells, json)
    if html is not None:
        write_html(cells, html)


if __name__ == "__main__":
    typer.run(main)
    sys.exit(0)
