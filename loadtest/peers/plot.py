"""A bar chart as SVG text: a title, a bar and a number for each value, readable on dark and light.

By hand because it is forty lines and has to lie in the repository as one small file that renders
where scripts do not run.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

WIDTH: Final = 640
LABEL: Final = 110
ROW: Final = 30
TOP: Final = 40
BAR_MOST: Final = WIDTH - LABEL - 90
OURS_COLOUR: Final = "#2563eb"
THEIRS_COLOUR: Final = "#9ca3af"
INK: Final = "#6b7280"


def bars(title: str, values: Sequence[tuple[str, float, bool]]) -> str:
    """One bar for each (label, value, emphasised); lengths share one scale that starts at zero."""
    most = max((value for _, value, _ in values), default=0.0) or 1.0
    height = TOP + ROW * len(values) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="13">',
        f'<text x="10" y="22" font-size="15" fill="{INK}">{escape(title)}</text>',
    ]
    for place, (label, value, emphasised) in enumerate(values):
        y = TOP + ROW * place
        length = BAR_MOST * value / most
        colour = OURS_COLOUR if emphasised else THEIRS_COLOUR
        lines += [
            f'<text x="{LABEL - 8}" y="{y + 15}" text-anchor="end" fill="{INK}">'
            f"{escape(label)}</text>",
            f'<rect x="{LABEL}" y="{y}" width="{length:.1f}" height="20" rx="2" fill="{colour}"/>',
            f'<text x="{LABEL + length + 8:.1f}" y="{y + 15}" fill="{INK}">{value:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"
