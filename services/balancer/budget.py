"""The retry budget: how much may be asked twice, so that a failing cluster is not asked many times
over by everyone at once. A part of the requests of the last seconds, and a few more for quiet times
(Finagle's and Linkerd's 20 % over 10 s; "The Site Reliability Workbook", retries and cascades).

Time is an argument. The window moves in slices; it is at least as long as it says, so that in any
such time no more is spent than the rules allow.
"""

from __future__ import annotations

from services.balancer.config import Retry

SLICES = 10


class RetryBudget:
    """One cluster's budget in one process. `share` is this process's part of the few a second."""

    __slots__ = ("_at", "_requests", "_retries", "_seen", "rules", "share")

    def __init__(self, rules: Retry, share: float = 1.0) -> None:
        self.rules = rules
        self.share = share
        self._at = 0  # the slice of time that is being filled
        self._seen = 0  # requests ever, when last looked
        self._requests = [0] * (SLICES + 1)  # by slice of time
        self._retries = [0] * (SLICES + 1)

    def __repr__(self) -> str:
        return f"<RetryBudget {sum(self._retries)} retries of {sum(self._requests)} requests>"

    def roll(self, now: float, requests: int) -> None:
        """Look at the clock and at how many requests there were ever; to be called all the time."""
        slots = SLICES + 1
        self._requests[self._at % slots] += requests - self._seen
        self._seen = requests
        at = int(now / self.rules.budget_window_s * SLICES)
        for passed in range(max(self._at + 1, at - slots + 1), at + 1):
            self._requests[passed % slots] = self._retries[passed % slots] = 0
        self._at = max(at, self._at)

    def left(self, now: float, requests: int) -> bool:
        """Whether there is one retry left."""
        self.roll(now, requests)
        rules = self.rules
        few = rules.budget_per_s * rules.budget_window_s * self.share
        earned = sum(self._requests) * rules.budget_percent / 100 + few
        return sum(self._retries) + 1 <= earned

    def spend(self, now: float, requests: int) -> bool:
        """Take one; False when there is none."""
        if not self.left(now, requests):
            return False
        self._retries[self._at % (SLICES + 1)] += 1
        return True
