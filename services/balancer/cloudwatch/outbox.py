"""Minutes that wait to be published. Bounded by number: the two oldest become one, so that however
long CloudWatch does not answer, no count is lost and memory stays what it is. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from services.balancer.cloudwatch.tally import Counts

MOST_MINUTES: Final = 15


@dataclass(slots=True)
class Share:
    """A cluster's part of a minute, or the whole deployment's. Without gauges: of the whole, and of
    a cluster whose targets are not known yet."""

    counts: Counts
    healthy: int | None = None
    pending: int | None = None


@dataclass(slots=True)
class Minute:
    """What was new until `at_s` (wall clock), by cluster; None is the whole deployment."""

    at_s: float
    shares: dict[str | None, Share] = field(default_factory=dict)

    def absorb(self, older: Minute) -> None:
        """Take over an older minute's counts. Its gauges are history."""
        for name, share in older.shares.items():
            if name in self.shares:
                self.shares[name].counts.add(share.counts)
            else:
                self.shares[name] = share


class Outbox:
    """First in, first out. What is being sent is outside, and given back if it did not arrive."""

    def __init__(self, most: int = MOST_MINUTES) -> None:
        self._most = most
        self._minutes: deque[Minute] = deque()

    def __len__(self) -> int:
        return len(self._minutes)

    def __repr__(self) -> str:
        return f"<Outbox {len(self)} of {self._most} minutes>"

    def add(self, minute: Minute) -> None:
        """The newest."""
        self._minutes.append(minute)
        self._bound()

    def take(self, shares: int) -> Minute | None:
        """At most so many shares of the oldest minute."""
        if not self._minutes:
            return None
        oldest = self._minutes[0]
        names = list(oldest.shares)[:shares]
        taken = Minute(oldest.at_s, {name: oldest.shares.pop(name) for name in names})
        if not oldest.shares:
            self._minutes.popleft()
        return taken

    def give_back(self, minute: Minute) -> None:
        """It was not published: it is the oldest again."""
        if self._minutes and self._minutes[0].at_s == minute.at_s:
            self._minutes[0].absorb(minute)
        else:
            self._minutes.appendleft(minute)
            self._bound()

    def clear(self) -> None:
        """Forget everything: there is nobody to tell."""
        self._minutes.clear()

    def _bound(self) -> None:
        if len(self._minutes) > self._most:
            oldest = self._minutes.popleft()
            self._minutes[0].absorb(oldest)
