"""Charts as SVG text, by hand: they lie in the repository and are read where scripts do not run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from typing import Final

from loadtest.report.palette import GRID, NEUTRAL, colour

WIDTH: Final = 760
LEFT: Final = 210
RIGHT: Final = 40
ROW: Final = 26
TOP: Final = 62
MOST: Final = 4.0  # ratios beyond are drawn at the edge, with their number


def ratios(title: str, cells: Sequence[tuple[str, Mapping[str, float]]], ours: str) -> str:
    """A row a cell, a dot a policy: p99 over the oracle's, on a logarithmic axis from 1.

    The policy `ours` is larger, and drawn last.
    """
    named = dict.fromkeys(p for _, by_policy in cells for p in by_policy)
    policies = sorted(named, key=lambda p: p == ours)  # ours last: drawn over the others
    height = TOP + ROW * len(cells) + 50
    lines = _head(title, height)
    lines += _legend(policies)

    def x(ratio: float) -> float:
        share = log10(min(max(ratio, 0.9), MOST) / 0.9) / log10(MOST / 0.9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    bottom = TOP + ROW * len(cells) + 6
    for tick in (1.0, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 4.0):
        lines.append(_line(x(tick), TOP - 6, x(tick), bottom, GRID))
        label = f"{tick:g}" if tick < MOST else f"{tick:g}+"
        lines.append(_text(x(tick), bottom + 16, label, "middle"))
    lines.append(
        _text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, "p99 / p99 of the oracle", "middle")
    )
    for place, (name, by_policy) in enumerate(cells):
        y = TOP + ROW * place + ROW / 2
        lines.append(_line(LEFT, y, WIDTH - RIGHT, y, GRID))
        lines.append(_text(LEFT - 10, y + 4, name, "end"))
        for at, policy in enumerate(policies):
            if policy in by_policy:
                size = 6 if policy == ours else 4
                ratio = by_policy[policy]
                lines.append(
                    f'<circle cx="{x(ratio):.1f}" cy="{y:.1f}" r="{size}" fill="{colour(at)}">'
                    f"<title>{escape(policy)}: {ratio:.2f}</title></circle>"
                )
    return "\n".join([*lines, "</svg>"]) + "\n"


def lines_over(
    title: str,
    steps: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    x_label: str,
    y_label: str,
) -> str:
    """A line a policy over `steps`, on a logarithmic axis."""
    height = 380
    low = 10 ** floor(log10(min(min(values) for values in series.values())))
    high = 10 ** ceil(log10(max(max(values) for values in series.values())))
    top, bottom, left = TOP + 10, height - 60, 70

    def x(place: int) -> float:
        return left + place / max(len(steps) - 1, 1) * (WIDTH - left - RIGHT)

    def y(value: float) -> float:
        return bottom - log10(value / low) / log10(high / low) * (bottom - top)

    drawn = _head(title, height) + _legend(list(series))
    tick = float(low)
    while tick <= high * 1.001:
        drawn.append(_line(left, y(tick), WIDTH - RIGHT, y(tick), GRID))
        drawn.append(_text(left - 8, y(tick) + 4, f"{tick:,g}", "end"))
        tick *= 10
    for place, step in enumerate(steps):
        drawn.append(_text(x(place), bottom + 18, step, "middle"))
    drawn.append(_text((left + WIDTH) / 2, bottom + 42, x_label, "middle"))
    drawn.append(_text(12, top - 12, y_label, "start"))
    for at, values in enumerate(series.values()):
        points = " ".join(f"{x(place):.1f},{y(value):.1f}" for place, value in enumerate(values))
        drawn.append(
            f'<polyline points="{points}" fill="none" stroke="{colour(at)}" stroke-width="2.5"/>'
        )
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _head(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">',
        f'<text x="10" y="20" font-size="15" fill="{NEUTRAL}">{escape(title)}</text>',
    ]


def _legend(policies: Sequence[str]) -> list[str]:
    drawn, x = [], 14.0
    for at, policy in enumerate(policies):
        drawn.append(f'<circle cx="{x:.0f}" cy="40" r="5" fill="{colour(at)}"/>')
        drawn.append(_text(x + 10, 44, policy, "start"))
        x += 28 + 6.6 * len(policy)
    return drawn


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}"/>'


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{NEUTRAL}">'
        f"{escape(words)}</text>"
    )
