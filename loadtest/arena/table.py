"""Cells as tables, for eyes on a terminal and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from loadtest.arena.compare import ORACLE, ORACLES, Cell, Ratio

HEADINGS: Final = ("policy", "p50", "p99", "p99.9", "mean", "errors", "p99 / oracle (95 %)")


def rows(cell: Cell) -> list[tuple[str, ...]]:
    """A row a policy, best p99 first after the oracle; latencies in ms."""
    everyone = sorted(cell.figures, key=lambda each: (each not in ORACLES, cell.ratio(each).value))
    return [
        (
            policy,
            milliseconds(cell.mean(policy, lambda f: f.p50_s)),
            milliseconds(cell.mean(policy, lambda f: f.p99_s)),
            milliseconds(cell.mean(policy, lambda f: f.p999_s)),
            milliseconds(cell.mean(policy, lambda f: f.mean_s)),
            f"{cell.mean(policy, lambda f: f.errors):.2%}",
            "1" if policy == ORACLE else interval(cell.ratio(policy)),
        )
        for policy in everyone
    ]


def milliseconds(seconds: float) -> str:
    """Three digits."""
    ms = seconds * 1000
    return f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}"


def interval(ratio: Ratio) -> str:
    """A value and what is around it."""
    return f"{ratio.value:.2f} ({ratio.low:.2f} - {ratio.high:.2f})"


def markdown(headings: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and the rest numbers, columns aligned to be read raw."""
    widths = [max(len(row[at]) for row in (headings, *body)) for at in range(len(headings))]
    lines = [
        _line(headings, widths),
        "|"
        + "|".join("-" * (w + 1) + ("-" if at == 0 else ":") for at, w in enumerate(widths))
        + "|",
        *(_line(row, widths) for row in body),
    ]
    return "\n".join(lines)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.ljust(width) if at == 0 else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return "| " + " | ".join(padded) + " |"


def tables(cells: Sequence[Cell]) -> str:
    """All cells, one below the other, as Markdown."""
    return "\n\n".join(
        f"{cell.scenario.name} (ms)\n\n{markdown(HEADINGS, rows(cell))}" for cell in cells
    )
