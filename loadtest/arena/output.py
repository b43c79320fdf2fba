"""Cells as files: every figure as JSON, a page to look at, tables and charts for the docs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from json import dumps
from pathlib import Path
from typing import Final

from loadtest.arena.compare import CENTRAL_QUEUE, ORACLE, Cell
from loadtest.arena.plot import lines_over, ratios
from loadtest.arena.summary import matrix_table, standings, summary
from loadtest.arena.table import HEADINGS, rows
from loadtest.report.frame import html_table, page

OURS: Final = "steelyard"
TITLE: Final = "Policies against the oracle"


class NoPlace(ValueError):
    """A document lacks the markers between which something is to be put."""


def write_json(cells: Sequence[Cell], path: Path) -> None:
    """Figures by cell, policy and seed; seconds."""
    content = [
        {
            "scenario": cell.scenario.name,
            "why": cell.scenario.why,
            "seeds": cell.seeds,
            "figures": {p: [asdict(each) for each in f] for p, f in cell.figures.items()},
            "p99_over_oracle": {p: asdict(cell.ratio(p)) for p in cell.figures},
        }
        for cell in cells
    ]
    path.write_text(dumps(content, indent=1) + "\n", encoding="utf-8")


def write_html(cells: Sequence[Cell], path: Path) -> None:
    """One page."""
    parts = [chart(cells)]
    for cell in cells:
        parts.append(f"<h2>{escape(cell.scenario.name)}</h2><p>{escape(cell.scenario.why)}</p>")
        parts.append(
            html_table(
                [
                    f"{h} (ms)" if h[0] == "p" and h[1].isdigit() and "/" not in h else h
                    for h in HEADINGS
                ],
                rows(cell),
            )
        )
    best, worst = _extremes(cells)
    said = f"<p>{escape(best)} {escape(worst)}</p>"
    path.write_text(page(title=TITLE, body=said + "".join(parts)), encoding="utf-8")


def chart(cells: Sequence[Cell]) -> str:
    """Every policy's ratio in every cell."""
    return ratios(
        TITLE,
        [
            (
                cell.scenario.name,
                {
                    policy: cell.ratio(policy).value
                    for policy in cell.figures
                    if policy not in (ORACLE, CENTRAL_QUEUE)
                },
            )
            for cell in cells
        ],
        OURS,
    )


def climb(cells: Sequence[Cell], policies: Sequence[str]) -> str:
    """The paper's picture: p99.9 over the load."""
    return lines_over(
        "100 machines, load from 0.75 to 1.74 of what each was allotted",
        [f"{cell.scenario.load:g}" for cell in cells],
        {p: [cell.mean(p, lambda f: f.p999_s) * 1000 for cell in cells] for p in policies},
        x_label="load, of the allotment",
        y_label="p99.9 (ms; 5,000 is the deadline)",
    )


def _extremes(cells: Sequence[Cell]) -> tuple[str, str]:
    order = standings(cells)
    first, last = order[0], order[-1]
    return (
        f"{first.policy} wins: {first.geometric_mean:.2f} times the oracle's p99 on average, "
        f"{first.worst:.2f} at worst ({first.worst_in}).",
        f"{last.policy} loses: {last.geometric_mean:.2f}, and {last.worst:.2f} at worst.",
    )


def write_docs(
    cells: Sequence[Cell],
    document: Path,
    *,
    climbed: Sequence[Cell] = (),
    alone: Sequence[Cell] = (),
    missing: Sequence[str] = (),
) -> None:
    """Rewrite what stands between the markers of `document`, and the charts beside it.

    `alone`: those with several balancers, when these tell each other nothing. `missing`: cells that
    were not run to their end, and are named as such.
    """
    images = document.parent / "img"
    (images / "policies-matrix.svg").write_text(chart(cells), encoding="utf-8")
    best, worst = _extremes(cells)
    seeds = cells[0].seeds
    lack = f" Not run, or not to the end: {'; '.join(missing)}." if missing else ""
    parts = {
        "matrix": f"{best} {worst}{lack}\n\n{summary(cells)}\n\n"
        f"Seeds {seeds[0]} to {seeds[-1]}. Each cell, p99 over the oracle's; bold is who is not "
        f"worse than the best of the row by more than chance:\n\n{matrix_table(cells)}\n\n"
        f"![p99 over the oracle's, by cell and policy](img/policies-matrix.svg)",
    }
    if climbed:
        shown = [p for p in climbed[0].figures if p not in (ORACLE, CENTRAL_QUEUE)]
        (images / "policies-paper.svg").write_text(climb(climbed, shown), encoding="utf-8")
        parts["paper"] = (
            f"{_fall(climbed, shown)}\n\n![p99.9 over the load](img/policies-paper.svg)"
        )
    if alone:
        seeds = alone[0].seeds
        parts["alone"] = f"{matrix_table(alone)}\n\nSeeds {seeds[0]} to {seeds[-1]}."
    text = document.read_text(encoding="utf-8")
    for name, words in parts.items():
        text = between(text, name, words)
    document.write_text(text, encoding="utf-8")


def _fall(cells: Sequence[Cell], policies: Sequence[str]) -> str:
    """From which load on more than one request in a hundred fails."""
    words = []
    for policy in policies:
        loads = [c.scenario.load for c in cells if c.mean(policy, lambda f: f.errors) > 0.01]
        fails = f"from {min(loads):g} of the allotment on" if loads else "at none of these loads"
        words.append(f"{policy}: {fails}")
    return "More than 1 % of the requests fail with " + "; ".join(words) + "."


def between(text: str, name: str, words: str) -> str:
    """`text` with `words` between `<!-- arena: NAME -->` and `<!-- /arena: NAME -->`."""
    place = re.compile(rf"(<!-- arena: {name} -->\n).*?(<!-- /arena: {name} -->)", re.DOTALL)
    if not place.search(text):
        raise NoPlace(f"no place for the arena's {name}")
    return place.sub(lambda found: f"{found[1]}\n{words}\n\n{found[2]}", text)
