"""What is new since last time, by cluster, from totals that only rise.

A target's counts begin at zero when it joins and are gone some time after it has left, so the
ledger is looked at more often than a slot can be given to another target. A restart of this
process begins with what is there: what was counted and not yet published is lost then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.balancer.fleet.registry import Member
from services.balancer.fleet.slots import GRACE_S
from services.balancer.ledger import LATENCY_BOUNDS_US, Ledger, ProcessCell, TargetCell

SAMPLE_S: Final = 0.8 * GRACE_S
DEPARTED_SAMPLES: Final = 15  # how often a target that has left is looked at, if nothing is pending
BUCKETS: Final = len(LATENCY_BOUNDS_US) + 1

_ENDS: Final = (  # each request that reached a target ends as one of these; see `_counts`
    TargetCell.RESPONSES_1XX,
    TargetCell.RESPONSES_2XX,
    TargetCell.RESPONSES_3XX,
    TargetCell.RESPONSES_4XX,
    TargetCell.RESPONSES_5XX,
    TargetCell.ABORTED,
)
_FAULTS: Final = (
    TargetCell.CONNECT_FAILURES,
    TargetCell.BROKEN,
    TargetCell.TIMEOUTS,
    TargetCell.STALE,
    TargetCell.STARVED,
)
_OWN: Final = (
    ProcessCell.REQUESTS,
    ProcessCell.ANSWERED_HERE_4XX,
    ProcessCell.ANSWERED_HERE_5XX,
)


@dataclass(slots=True)
class Counts:
    """Requests and what came of them; `latency` by bucket of the ledger's histogram."""

    requests: int = 0
    errors_4xx: int = 0
    errors_5xx: int = 0
    retries: int = 0
    latency: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    def add(self, other: Counts) -> None:
        """Put another's counts to these."""
        self.requests += other.requests
        self.errors_4xx += other.errors_4xx
        self.errors_5xx += other.errors_5xx
        self.retries += other.retries
        self.latency = [a + b for a, b in zip(self.latency, other.latency, strict=True)]

    def split(self) -> tuple[Counts, Counts]:
        """What can be published, and what is below zero and waits.

        A retry may be seen a moment before the failure that it follows: they are in memory of
        different processes' making.
        """
        now, later = Counts(latency=self.latency), Counts()
        for name in ("requests", "errors_4xx", "errors_5xx", "retries"):
            value = getattr(self, name)
            setattr(now, name, max(0, value))
            setattr(later, name, min(0, value))
        return now, later


@dataclass(slots=True)
class _Watched:
    cluster: str
    totals: list[int]
    samples_left: int = DEPARTED_SAMPLES


class Tally:
    """Counts since the last `take`. Reads the ledger; keeps one list of totals for each target."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._watched: dict[tuple[str, int], _Watched] = {}  # by target id and slot
        self._own: list[int] | None = None
        self._clusters: dict[str, Counts] = {}
        self._whole = Counts()

    def __repr__(self) -> str:
        return f"<Tally of {len(self._watched)} targets, {self._whole.requests} requests new>"

    def sample(self, members: Iterable[Member]) -> None:
        """Add up what is new. The first time, what is there counts as old."""
        first = self._own is None
        present = {(member.id, member.slot): member for member in members}
        taken = {slot for _, slot in present}
        for key, watched in list(self._watched.items()):
            if key in present:
                watched.samples_left = DEPARTED_SAMPLES
            elif key[1] in taken or watched.samples_left <= 0:
                del self._watched[key]
            elif not self._ledger.pending_total(key[1]):
                watched.samples_left -= 1
        for key, member in present.items():
            if key not in self._watched:
                totals = self._ledger.target_totals(member.slot)
                before = totals if first else [0] * len(totals)
                self._watched[key] = _Watched(member.cluster, before)
        for (_, slot), watched in self._watched.items():
            self._add(watched, self._ledger.target_totals(slot))
        self._add_own()

    def take(self, clusters: Iterable[str]) -> tuple[dict[str, Counts], Counts]:
        """New counts of these clusters, and of the whole deployment; begins anew.

        The whole counts what clients sent and were told: answers of the balancer's own are in it,
        which belong to no cluster.
        """
        found: dict[str, Counts] = {}
        rest: dict[str, Counts] = {}
        for name in clusters:
            found[name], rest[name] = self._clusters.get(name, Counts()).split()
        whole, self._whole = self._whole.split()
        self._clusters = rest
        return found, whole

    def _add(self, watched: _Watched, totals: list[int]) -> None:
        before = watched.totals
        if totals[TargetCell.REQUESTS] < before[TargetCell.REQUESTS]:
            before = [0] * len(totals)  # zeroed for somebody else, who is not here yet
        watched.totals = totals
        new = [now - then for now, then in zip(totals, before, strict=True)]
        counts = _counts(new)
        self._clusters.setdefault(watched.cluster, Counts()).add(counts)
        # Here the balancer's own answers stand for attempts that failed.
        self._whole.add(
            Counts(
                errors_4xx=counts.errors_4xx,
                errors_5xx=new[TargetCell.RESPONSES_5XX],
                retries=counts.retries,
                latency=counts.latency,
            )
        )

    def _add_own(self) -> None:
        rows = [self._ledger.process(row) for row in range(self._ledger.rows)]
        own = [sum(int(cells[cell]) for cells in rows) for cell in _OWN]
        before = own if self._own is None else self._own
        requests, errors_4xx, errors_5xx = (a - b for a, b in zip(own, before, strict=True))
        self._own = own
        self._whole.add(Counts(requests=requests, errors_4xx=errors_4xx, errors_5xx=errors_5xx))


def _counts(new: list[int]) -> Counts:
    """A request ends with an answer, with its client's leaving, or with a fault that is final:
    every fault but those that another attempt followed."""
    retries = new[TargetCell.RETRIES]
    final = sum(new[cell] for cell in _FAULTS) - retries
    return Counts(
        requests=sum(new[cell] for cell in _ENDS) + final,
        errors_4xx=new[TargetCell.RESPONSES_4XX],
        errors_5xx=new[TargetCell.RESPONSES_5XX] + final,
        retries=retries,
        latency=new[TargetCell.LATENCY_BUCKET_0 :],
    )


def gauges(members: Mapping[str, Member], ledger: Ledger, cluster: str) -> tuple[int, int]:
    """Healthy targets that are not draining, and requests pending, of one cluster, now."""
    mine = [member for member in members.values() if member.cluster == cluster]
    healthy = sum(member.state.health.value == "healthy" and not member.draining for member in mine)
    return healthy, sum(ledger.pending_total(member.slot) for member in mine)
