"""All cells in one table: how far from the oracle, how far at worst, how often not beaten."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log
from statistics import fmean
from typing import Final

from loadtest.arena.compare import CENTRAL_QUEUE, ORACLE, Cell
from loadtest.arena.table import markdown

HEADINGS: Final = (
    "policy",
    "p99 / oracle",
    "worst",
    "in",
    "wins or ties against each other",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """Of one policy over all cells. `unbeaten`: the share of (cell, other policy) pairs."""

    policy: str
    geometric_mean: float
    worst: float
    worst_in: str
    unbeaten: float


def standings(cells: Sequence[Cell]) -> list[Standing]:
    """The best first; oracles are left out."""
    policies = [each for each in cells[0].figures if each not in (ORACLE, CENTRAL_QUEUE)]
    return sorted(
        (_standing(cells, each, policies) for each in policies),
        key=lambda each: each.geometric_mean,
    )


def _standing(cells: Sequence[Cell], policy: str, policies: Sequence[str]) -> Standing:
    ratios = {cell.scenario.name: cell.ratio(policy).value for cell in cells}
    worst_in = max(ratios, key=lambda name: ratios[name])
    duels = [
        cell.ratio(policy, to=other).low <= 1.0
        for cell in cells
        for other in policies
        if other != policy
    ]
    return Standing(
        policy,
        exp(fmean(log(each) for each in ratios.values())),
        ratios[worst_in],
        worst_in,
        fmean(duels) if duels else 1.0,
    )


def summary(cells: Sequence[Cell]) -> str:
    """As Markdown."""
    rows = [
        (s.policy, f"{s.geometric_mean:.3f}", f"{s.worst:.2f}", s.worst_in, f"{s.unbeaten:.0%}")
        for s in standings(cells)
    ]
    return markdown(HEADINGS, rows)


def matrix_table(cells: Sequence[Cell]) -> str:
    """A row a cell, a column a policy: p99 over the oracle's; the oracle's p99 in ms first.

    Bold: not worse than the best of the row by more than the confidence interval.
    """
    order = [standing.policy for standing in standings(cells)]
    rows = []
    for cell in cells:
        ratios = {policy: cell.ratio(policy) for policy in order}
        best = min(ratios, key=lambda policy: ratios[policy].value)
        rows.append(
            (
                cell.scenario.name,
                f"{cell.mean(ORACLE, lambda f: f.p99_s) * 1000:,.0f}",
                *(
                    _cell_words(ratios[policy].value, bold=cell.ratio(policy, to=best).low <= 1.0)
                    for policy in order
                ),
            )
        )
    return markdown(("cell", "oracle, ms", *order), rows)


def _cell_words(ratio: float, *, bold: bool) -> str:
    text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"
    return f"**{text}**" if bold else text
