"""Policies over scenarios and seeds: the same requests for each, side by side with the oracle.

A ratio is taken seed by seed, policy over oracle, and averaged as logarithms; its interval is
Student's, over seeds. What is called a tie is inside that interval.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from math import exp, log, sqrt
from signal import SIG_IGN, SIGINT, signal
from statistics import fmean, stdev
from typing import Final

from loadtest.arena.oracle import CentralQueue, SpeedsKnown
from loadtest.arena.scenario import Scenario
from loadtest.arena.simulation import Run, simulate
from services.balancer.config import PolicySpec
from services.balancer.pick import build
from services.balancer.pick.policy import Policy

ORACLE: Final = "oracle"
CENTRAL_QUEUE: Final = "central_queue"
SPEEDS_KNOWN: Final = "speeds_known"
ORACLES: Final = (ORACLE, CENTRAL_QUEUE)
# Student's t, 97.5 %, by degrees of freedom from 1; beyond, the normal distribution's.
# fmt: off
T_975: Final = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
)
# fmt: on
T_MANY: Final = 1.96


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run. Latencies in seconds, `errors` a share of the requests."""

    p50_s: float
    p99_s: float
    p999_s: float
    mean_s: float
    errors: float
    requests: int

    @classmethod
    def of(cls, run: Run) -> Figures:
        return cls(
            p50_s=run.percentile(0.5),
            p99_s=run.percentile(0.99),
            p999_s=run.percentile(0.999),
            mean_s=run.mean_s,
            errors=run.failed_share,
            requests=run.simulated,
        )


@dataclass(frozen=True, slots=True)
class Ratio:
    """A geometric mean over seeds and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, ratios: Sequence[float]) -> Ratio:
        logs = [log(each) for each in ratios]
        middle = fmean(logs)
        half = 0.0
        if len(logs) > 1:
            freedom = len(logs) - 1
            t = T_975[freedom - 1] if freedom <= len(T_975) else T_MANY
            half = t * stdev(logs) / sqrt(len(logs))
        return cls(exp(middle), exp(middle - half), exp(middle + half))


@dataclass(frozen=True, slots=True)
class Cell:
    """One scenario: for each policy its figures by seed, in the order of `seeds`."""

    scenario: Scenario
    seeds: tuple[int, ...]
    figures: Mapping[str, tuple[Figures, ...]]

    @property
    def requests(self) -> int:
        """Simulated in all."""
        return sum(each.requests for of_policy in self.figures.values() for each in of_policy)

    def mean(self, policy: str, of: Callable[[Figures], float]) -> float:
        """Of one figure, over seeds."""
        return fmean(of(each) for each in self.figures[policy])

    def ratio(self, policy: str, to: str = ORACLE) -> Ratio:
        """The policy's p99 over the other's, seed by seed."""
        pairs = zip(self.figures[policy], self.figures[to], strict=True)
        return Ratio.of([mine.p99_s / other.p99_s for mine, other in pairs])


Known = Callable[[Scenario, str, int], Figures | None]
OnRun = Callable[[Scenario, str, int, Figures], None]


def spec_of(policy: str) -> PolicySpec:
    """`prequal` or `prequal:pool=4:q_rif=0.9`. Raises ValueError when there is no such policy."""
    name, *params = policy.split(":")
    pairs = dict(param.split("=", 1) for param in params)
    spec = PolicySpec(name=name, params={key: _number(value) for key, value in pairs.items()})
    build(spec)
    return spec


def _number(value: str) -> object:
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(value, value)


def one_run(task: tuple[Scenario, str, int]) -> Figures:
    """The figures of one scenario with one policy (or the oracle) and one seed."""
    scenario, policy, seed = task
    make: Callable[[], Policy] | type[CentralQueue] | None = None
    if policy == CENTRAL_QUEUE:
        make = CentralQueue
    elif policy == SPEEDS_KNOWN:
        make = SpeedsKnown
    elif policy != ORACLE:
        spec = spec_of(policy)
        make = partial(build, spec)
    # A run leaves next to no garbage in rings; looking for it takes a tenth of the time.
    gc.collect()
    gc.disable()
    try:
        return Figures.of(simulate(scenario, make, seed))
    finally:
        gc.enable()


def compare(
    scenarios: Sequence[Scenario],
    policies: Sequence[str],
    seeds: Sequence[int],
    *,
    jobs: int = 1,
    known: Known = lambda scenario, policy, seed: None,
    on_run: OnRun = lambda scenario, policy, seed, figures: None,
) -> list[Cell]:
    """Every scenario with the oracles and every policy at every seed, over `jobs` processes.

    What `known` has the figures of is not run; `on_run` hears of each that was, as it ends.
    """
    everyone = (*ORACLES, *(each for each in policies if each not in ORACLES))
    tasks = [(s, p, seed) for s in scenarios for p in everyone for seed in seeds]
    found = {task: figures for task in tasks if (figures := known(*task)) is not None}
    tasks = [task for task in tasks if task not in found]
    for task, figures in zip(tasks, _runs(tasks, jobs), strict=True):
        found[task] = figures
        on_run(*task, figures)
    return [
        Cell(s, tuple(seeds), {p: tuple(found[s, p, seed] for seed in seeds) for p in everyone})
        for s in scenarios
    ]


def _runs(tasks: Sequence[tuple[Scenario, str, int]], jobs: int) -> Iterable[Figures]:
    if jobs == 1:
        yield from map(one_run, tasks)
        return
    # An interrupt is for whoever asked; a worker that dies of it would leave the others waiting.
    with ProcessPoolExecutor(jobs, initializer=signal, initargs=(SIGINT, SIG_IGN)) as pool:
        try:
            yield from pool.map(one_run, tasks)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
