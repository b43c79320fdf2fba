"""What the balancer is held to beside its peers, and whether this report's figures keep it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from loadtest.peers.contenders import COMPILED, OURS, title_of
from loadtest.peers.idle import IdleResult
from loadtest.peers.measure import Run
from loadtest.peers.processes import ProcessesRun
from loadtest.peers.processes import summarize as two_to_one
from loadtest.peers.rounds import summarize
from loadtest.peers.scenario import SMALL
from loadtest.peers.thousand import Race

SHARES: Final = {"haproxy": 1.0, "nginx": 1.0, "envoy": 3.0, "caddy": 3.0}  # per CPU-second
P99_PEER: Final = "nginx"
P99_MOST: Final = 1.2  # at half load, times the peer's
THOUSAND_MOST: Final = 1.2  # time of 1000 requests against HAProxy's
TWO_LEAST: Final = 1.8  # times what one process does
IDLE_MOST_BYTES: Final = 3000


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure with the bound it is held to."""

    text: str
    value: float
    bound: float
    at_least: bool

    @property
    def kept(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def __str__(self) -> str:
        sign = "at least" if self.at_least else "at most"
        verdict = "kept" if self.kept else "MISSED"
        return f"{self.text}: {self.value:,.2f} ({sign} {self.bound:g}): {verdict}"


def marks(
    runs: Sequence[Run],
    latency_runs: Sequence[Run],
    races: Sequence[Race],
    idle: Sequence[IdleResult],
    processes: Sequence[ProcessesRun] = (),
) -> Iterator[Mark]:
    """The marks that these figures can judge.

    They are for the balancer at its best; the tables show the interpreted one beside it.
    """
    small = [run for run in runs if run.scenario == SMALL.name]
    for other, share in SHARES.items():
        for summary in summarize(small, other):
            if summary.proxy == _judged(small) != other and summary.ratio is not None:
                text = f"small GET, {title_of(summary.proxy)}, requests per CPU-second"
                yield Mark(f"{text} to {title_of(other)}'s", summary.ratio, share, True)
    ours = _judged(latency_runs)
    peers = {run.round: run.p99_ms for run in latency_runs if run.proxy == P99_PEER}
    ratios = [
        run.p99_ms / peers[run.round]
        for run in latency_runs
        if run.proxy == ours and not run.void and peers.get(run.round)
    ]
    if ratios:
        text = f"half load, {title_of(ours)}, p99 to {title_of(P99_PEER)}'s"
        yield Mark(text, median(ratios), P99_MOST, False)
    for two in two_to_one(processes):
        text = f"two data-plane processes to one, {title_of(two.proxy)}, a core each"
        yield Mark(text, two.even, TWO_LEAST, True)
    for race in races:
        ours = COMPILED.name if COMPILED.name in race.ratios else OURS.name
        if ours in race.ratios:
            text = f"{race.title}, {title_of(ours)}, time against HAProxy"
            yield Mark(text, race.ratios[ours], THOUSAND_MOST, False)
    for result in idle:
        if result.proxy == OURS.name:
            text = f"bytes for each of {result.connections:,} idle connections"
            yield Mark(text, result.bytes_each, IDLE_MOST_BYTES, False)


def _judged(runs: Sequence[Run]) -> str:
    return COMPILED.name if any(run.proxy == COMPILED.name for run in runs) else OURS.name
