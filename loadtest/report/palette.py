"""Colours that people with any common colour blindness tell apart (Okabe and Ito, 2008).

All of them stand out on white and on near-black; text and grid lines come from the page instead,
which knows whether it is light or dark.
"""

from __future__ import annotations

from typing import Final

SERIES: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
FAILED: Final = "#D55E00"
NEUTRAL: Final = "#8a8f98"
GRID: Final = "rgba(138,143,152,0.25)"
CLEAR: Final = "rgba(0,0,0,0)"
DASHES: Final = ("solid", "dash", "dot", "dashdot", "longdash")


def colour(at: int) -> str:
    """The colour of the series with this index; repeats after the last."""
    return SERIES[at % len(SERIES)]


def dash(at: int) -> str:
    """A line style for this index, for when there are more series than colours."""
    return DASHES[(at // len(SERIES)) % len(DASHES)]
