"""`python -m loadtest.arena`: scenarios x policies x seeds, beside the oracle."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Final

import typer
from rich.console import Console

from loadtest.arena.cells import everything
from loadtest.arena.compare import ORACLES, Cell, compare, spec_of
from loadtest.arena.files import read_scenarios
from loadtest.arena.kept import Kept
from loadtest.arena.logged import read_log
from loadtest.arena.output import write_docs, write_html, write_json
from loadtest.arena.replay import ask, text
from loadtest.arena.replay import write_json as write_answer
from loadtest.arena.scenario import Scenario
from loadtest.arena.summary import summary
from loadtest.arena.table import tables
from services.balancer.config import PolicySpec

SCENARIOS: Final = Path(__file__).parent / "scenarios"
MATRIX: Final = SCENARIOS / "matrix.yaml"
PAPER: Final = SCENARIOS / "paper.yaml"
IN_THE_PAPER: Final = ("weighted_round_robin", "prequal", "steelyard")
PAPER_SEEDS: Final = 3
ALONE: Final = ("steelyard", "least_time", "prequal", "least_pending")  # who share nothing, too
ALONE_SEEDS: Final = 5
PUBLISHED: Final = 100  # the first seed of what is reported; 0-9 are for tuning
EXIT_USAGE, EXIT_INTERRUPTED = 2, 130

words = Console(stderr=True)


def main(
    *,
    scenario: Annotated[
        list[Path] | None, typer.Option(help="scenario file; default: the matrix's 24 cells")
    ] = None,
    policies: Annotated[str, typer.Option(help="by comma; a parameter: prequal:q_rif=0.9")] = (
        "steelyard,prequal,least_time,least_pending,peak_ewma,p2c,weighted_round_robin"
    ),
    seeds: Annotated[int, typer.Option(min=1, help="how many")] = 10,
    first_seed: Annotated[int, typer.Option(help="0 to tune by, 100 to report")] = PUBLISHED,
    only: Annotated[str, typer.Option(help="scenarios whose name contains this")] = "",
    part: Annotated[
        str, typer.Option(help="2/5: the second fifth of the scenarios; best with --keep")
    ] = "1/1",
    keep: Annotated[
        Path | None, typer.Option(help="runs are kept in this file, and not done again")
    ] = None,
    everything_: Annotated[
        bool, typer.Option("--everything", help="all 1,008 cells of the matrix: days")
    ] = False,
    kept_only: Annotated[
        bool, typer.Option("--kept-only", help="run nothing: of what --keep holds in full")
    ] = False,
    jobs: Annotated[int, typer.Option(min=1, help="processes")] = 1,
    json: Annotated[Path | None, typer.Option(help="every figure, to this file")] = None,
    docs: Annotated[
        Path | None,
        typer.Option(help="rewrite this document's tables and charts; runs more for it"),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="tables and charts, to this file")] = None,
    replay: Annotated[
        Path | None, typer.Option(help="a balancer's access log: what would these have done?")
    ] = None,
    in_use: Annotated[str, typer.Option(help="of --replay: the policy then")] = PolicySpec().name,
    cluster: Annotated[str, typer.Option(help="of --replay; default: the busiest")] = "",
) -> None:
    """Compare policies in simulated time."""
    names = [name for name in policies.split(",") if name]
    if replay is not None:
        ours = not (scenario or everything_ or only or keep or docs or html)
        span = range(first_seed, first_seed + seeds)
        _what_if(replay, cluster, names, in_use, seeds=span, jobs=jobs, json=json, alone=ours)
        return
    chosen: list[Scenario] = []
    try:
        for name in names:
            spec_of(name)
        for path in scenario or ([] if everything_ else [MATRIX]):
            chosen += read_scenarios(path)
        chosen += everything() if everything_ else []
        chosen = part_of([each for each in chosen if only in each.name], part)
        kept = Kept(keep)
    except ValueError as error:
        words.print(str(error), style="red", markup=False)
        raise typer.Exit(EXIT_USAGE) from error
    if not chosen:
        words.print(f"no scenario is called {only!r}", style="red", markup=False)
        raise typer.Exit(EXIT_USAGE)
    started = perf_counter()
    span = range(first_seed, first_seed + seeds)
    besides: tuple[list[Cell], list[Cell]] = ([], [])
    missing: list[str] = []
    if kept_only:
        everyone = (*ORACLES, *names)
        whole = [s for s in chosen if kept.all_of(s, everyone, span)]
        missing = [s.name for s in chosen if s not in whole]
        chosen = whole
        if not chosen:
            words.print("no scenario is kept in full", style="red")
            raise typer.Exit(EXIT_USAGE)
    try:
        cells = _told(chosen, names, span, jobs, kept)
        if docs is not None and not kept_only:
            besides = _besides(chosen, names, span, jobs, kept)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print(summary(cells))
    took_s = perf_counter() - started
    new = kept.added  # those besides included
    words.print(f"{new:,} requests in {took_s:.0f} s: {new / took_s * 60:,.0f} a minute")
    if docs is not None:
        climbed, alone = besides
        write_docs(cells, docs, climbed=climbed, alone=alone, missing=missing)
    if json is not None:
        write_json(cells, json)
    if html is not None:
        write_html(cells, html)


def _what_if(
    log: Path,
    cluster: str,
    policies: Sequence[str],
    in_use: str,
    *,
    seeds: Sequence[int],
    jobs: int,
    json: Path | None,
    alone: bool,
) -> None:
    try:
        if not alone:
            raise ValueError("--replay goes with --policies, --seeds, --jobs and --json alone")
        answer = ask(read_log(log, cluster), policies, seeds, in_use, jobs=jobs)
    except ValueError as error:  # a BadLog, too
        words.print(str(error), style="red", markup=False)
        raise typer.Exit(EXIT_USAGE) from error
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None
    print(text(answer))
    if json is not None:
        write_answer(answer, json)


def part_of(scenarios: list[Scenario], part: str) -> list[Scenario]:
    """`2/5`: every fifth, from the second on. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", part)
    if found is None or int(found[1]) > int(found[2]):
        raise ValueError(f"--part {part!r}: must be like 2/5, the second of five")
    return scenarios[int(found[1]) - 1 :: int(found[2])]


def _told(
    scenarios: Sequence[Scenario],
    policies: Sequence[str],
    seeds: Sequence[int],
    jobs: int,
    kept: Kept,
) -> list[Cell]:
    """Compared one after the other, each printed when it is done."""
    cells = []
    for scenario in scenarios:
        cells += compare([scenario], policies, seeds, jobs=jobs, known=kept.get, on_run=kept.add)
        print(tables(cells[-1:]), end="\n\n", flush=True)
    return cells


def _besides(
    chosen: Sequence[Scenario], names: Sequence[str], seeds: Sequence[int], jobs: int, kept: Kept
) -> tuple[list[Cell], list[Cell]]:
    """What the docs show beside the matrix: the paper's climb; several balancers, untold."""
    untold = [replace(scenario, news_s=0.0) for scenario in chosen if scenario.news_s]
    climbing = [name for name in names if name in IN_THE_PAPER]
    alone = [name for name in names if name in ALONE]
    return (
        _told(read_scenarios(PAPER), climbing, seeds[:PAPER_SEEDS], jobs, kept),
        _told(untold, alone, seeds[:ALONE_SEEDS], jobs, kept),
    )


if __name__ == "__main__":
    typer.run(main)
    sys.exit(0)
