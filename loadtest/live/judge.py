"""What came out: p99 live and simulated, ratios, who is before whom, the marks. Pure.

Ratios are taken within a round, where all met the same requests, and then their median.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median
from typing import Final

from loadtest.arena.compare import ORACLE
from loadtest.arena.scenario import Scenario
from loadtest.live.beside import Simulated
from loadtest.live.contenders import BEST_OF, simulated
from loadtest.live.rounds import Turn
from loadtest.peers.marks import Mark

OURS: Final = "steelyard"
ENVOY: Final = "envoy"
BEST_SHARE: Final = 0.85  # marks: ours against the better of nginx and HAProxy
ENVOY_SHARE: Final = 0.45


@dataclass(frozen=True, slots=True)
class Result:
    """One scenario, run live and simulated on the same seeds."""

    scenario: Scenario
    seeds: tuple[int, ...]
    contenders: tuple[str, ...]
    tried: tuple[Turn, ...]
    simulated: Simulated

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Those that count."""
        return tuple(turn for turn in self.tried if turn.counts)

    def live_p99_s(self, contender: str) -> list[float]:
        """By round."""
        turns = sorted(self.turns, key=lambda turn: turn.round)
        return [turn.p99_s for turn in turns if turn.contender == contender]

    def simulated_p99_s(self, contender: str) -> list[float]:
        """By round."""
        return [figures.p99_s for figures in self.simulated[simulated(contender)]]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender: seconds, medians of the rounds; `low` and `high` are of the live rounds.

    Ratios are to the better of nginx and HAProxy and to Envoy; None where those did not run.
    """

    contender: str
    live_s: float
    low_s: float
    high_s: float
    to_best: float | None
    to_envoy: float | None
    simulated_s: float
    simulated_to_best: float | None
    simulated_to_envoy: float | None
    failures: int

    @property
    def error(self) -> float:
        """By how much the simulation is off, as a share of what was measured."""
        return self.simulated_s / self.live_s - 1.0


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The simulator puts `first` before `second`; live it was the other way round.

    Ratios are p99 of `second` to `first`, above 1 simulated, below 1 live (median; the rounds').
    """

    first: str
    second: str
    simulated: float
    live: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether every round said so."""
        return self.high < 1.0


def rows(result: Result) -> list[Row]:
    """The best p99 first."""
    return sorted((_row(result, each) for each in result.contenders), key=lambda row: row.live_s)


def _row(result: Result, contender: str) -> Row:
    live, beside = result.live_p99_s(contender), result.simulated_p99_s(contender)
    best, beside_best = _best(result, live=True), _best(result, live=False)
    has_envoy = ENVOY in result.contenders
    return Row(
        contender=contender,
        live_s=median(live),
        low_s=min(live),
        high_s=max(live),
        to_best=_ratio(live, best),
        to_envoy=_ratio(live, result.live_p99_s(ENVOY)) if has_envoy else None,
        simulated_s=median(beside),
        simulated_to_best=_ratio(beside, beside_best),
        simulated_to_envoy=_ratio(beside, result.simulated_p99_s(ENVOY)) if has_envoy else None,
        failures=sum(
            sum(turn.failures.values()) for turn in result.turns if turn.contender == contender
        ),
    )


def _best(result: Result, *, live: bool) -> list[float]:
    """The better p99 of nginx and HAProxy, round by round; empty when neither ran."""
    of = result.live_p99_s if live else result.simulated_p99_s
    ran = [of(name) for name in BEST_OF if name in result.contenders]
    return [min(each) for each in zip(*ran, strict=True)]


def _ratio(mine: Sequence[float], others: Sequence[float]) -> float | None:
    return median(m / o for m, o in zip(mine, others, strict=True)) if others else None


def order(result: Result, *, live: bool) -> list[str]:
    """Names from the best p99 to the worst; simulated, policies and the oracle instead."""
    if live:
        return [row.contender for row in rows(result)]
    p99_s = {name: median(f.p99_s for f in runs) for name, runs in result.simulated.items()}
    return sorted((name for name in p99_s if name != ORACLE), key=lambda name: p99_s[name])


def disagreements(result: Result) -> list[Disagreement]:
    """Every pair of contenders that the simulator orders otherwise than the live run did."""
    found = []
    for one, other in combinations(result.contenders, 2):
        if simulated(one) == simulated(other):
            continue  # to the simulator they are the same
        beside = _ratio(result.simulated_p99_s(other), result.simulated_p99_s(one)) or 1.0
        first, second = (one, other) if beside >= 1.0 else (other, one)
        pairs = zip(result.live_p99_s(first), result.live_p99_s(second), strict=True)
        live = [s / f for f, s in pairs]
        if median(live) < 1.0:
            found.append(
                Disagreement(
                    first, second, max(beside, 1 / beside), median(live), min(live), max(live)
                )
            )
    return found


def marks(result: Result) -> list[Mark]:
    """Those that this run can judge."""
    ours = next((row for row in rows(result) if row.contender == OURS), None)
    found = []
    if ours is not None and ours.to_best is not None:
        text = "p99 of steelyard to the better of nginx and HAProxy"
        found.append(Mark(text, ours.to_best, BEST_SHARE, at_least=False))
    if ours is not None and ours.to_envoy is not None:
        text = "p99 of steelyard to Envoy's LEAST_REQUEST"
        found.append(Mark(text, ours.to_envoy, ENVOY_SHARE, at_least=False))
    return found


def strains(result: Result) -> list[str]:
    """Where the real machine, not the modelled ones, may have made the latency."""
    return [
        f"round {turn.round + 1}, {turn.contender}: {turn.strain}"
        for turn in result.turns
        if turn.strain is not None
    ]
