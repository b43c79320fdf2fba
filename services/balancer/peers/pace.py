"""How long to wait between two rounds. Pure: what was spent is an argument.

    interval = (what a round costs, telling and hearing, as an EWMA over about ten) / 5 %

so that both together take at most 5 % of one core. Hearing costs the more the oftener the others
tell, so all of a group slow down alike. Between 2 and 250 ms. After a second in which nothing has
changed anywhere rounds are twice as far apart each time, up to 50 ms.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.05  # of one core
SHORTEST_S: Final = 0.002
LONGEST_S: Final = 0.25
IDLE_S: Final = 0.05
CALM_S: Final = 1.0
WAKE_S: Final = 0.000_05  # what it costs to be woken, which is over when a round begins
_WEIGHT: Final = 0.1  # of the latest round in the mean
# One round cannot be dearer than this; a virtual machine that was kept from running charges for it.
_CREDIBLE: Final = 3.0  # times the mean ...
_CREDIBLE_S: Final = 0.000_3  # ... and so much more


class Pace:
    """`interval_s` holds while there is news; `pause_s` is how long to wait now."""

    def __init__(self) -> None:
        self.cost_s = 0.0  # CPU of one round
        self.interval_s = SHORTEST_S
        self.pause_s = SHORTEST_S
        self._news_at = 0.0

    def round_ended(self, spent_s: float, now: float, *, news: bool) -> None:
        """`spent_s`: its CPU. `news`: something to tell, or to hear."""
        spent_s = min(spent_s + WAKE_S, _CREDIBLE * self.cost_s + _CREDIBLE_S)
        self.cost_s += _WEIGHT * (spent_s - self.cost_s)
        self.interval_s = min(max(self.cost_s / SHARE, SHORTEST_S), LONGEST_S)
        if news:
            self._news_at = now
        calm = now - self._news_at > CALM_S
        self.pause_s = max(self.interval_s, min(2 * self.pause_s, IDLE_S) if calm else 0.0)
