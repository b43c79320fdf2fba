"""Runs interleaved over the proxies, so that a slow minute of the machine hits all of them alike.

Each round starts every proxy once, in a rotated order, runs all scenarios on it and stops it: only
one proxy lives at a time. Ratios are taken within a round and then their median: the machine's
mood cancels out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory

from loadtest.peers.contenders import Layout, Proxy
from loadtest.peers.generate import Generator
from loadtest.peers.machine import Cores
from loadtest.peers.measure import BUSY, Run, measure
from loadtest.peers.process import free_ports, running
from loadtest.peers.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be run; the same object is printed and done."""

    proxies: tuple[Proxy, ...]
    programs: dict[str, str]  # where each proxy's program is
    scenarios: tuple[Scenario, ...]
    rounds: int
    seconds: int  # of one run, after its warm-up


@dataclass(frozen=True, slots=True)
class Summary:
    """Medians over the rounds of one proxy in one scenario; `ratio` is against the baseline."""

    proxy: str
    rounds: int
    void: tuple[str, ...]
    per_cpu_s: float
    ratio: float | None
    per_s: float
    limited: bool  # the generator, not the proxy, set the throughput
    busy: float
    p50_ms: float
    p99_ms: float
    p999_ms: float


def play(
    plan: Plan, generator: Generator, targets: tuple[int, ...], cores: Cores, rng: Random
) -> Iterator[Run]:
    """Do the plan; gives each run as it ends. Raises PeersError."""
    for round_ in range(plan.rounds):
        turn = round_ % len(plan.proxies)
        for proxy in plan.proxies[turn:] + plan.proxies[:turn]:
            with TemporaryDirectory(prefix=f"steelyard-{proxy.name}-") as directory:
                listen, admin = free_ports(2, rng)
                layout = Layout(listen, admin, targets, Path(directory))
                launch = proxy.launch(plan.programs[proxy.name], layout)
                with running(
                    launch,
                    name=proxy.title,
                    listen=listen,
                    directory=layout.directory,
                    cores=cores.proxy,
                ) as started:
                    for scenario in plan.scenarios:
                        yield measure(
                            proxy.name,
                            scenario,
                            generator,
                            started,
                            port=listen,
                            seconds=plan.seconds,
                            round_=round_,
                        )


def summarize(runs: Sequence[Run], baseline: str) -> list[Summary]:
    """One summary for each proxy of one scenario's runs, in order of first appearance."""
    base = {run.round: run.per_cpu_s for run in runs if run.proxy == baseline and not run.void}
    return [
        _summary(name, [run for run in runs if run.proxy == name], base)
        for name in dict.fromkeys(run.proxy for run in runs)
    ]


def _summary(name: str, runs: list[Run], base: dict[int, float]) -> Summary:
    void = tuple(run.void for run in runs if run.void)
    good = [run for run in runs if not run.void]
    if not good:
        return Summary(name, len(runs), void, 0.0, None, 0.0, False, 0.0, 0.0, 0.0, 0.0)
    pairs = [run.per_cpu_s / base[run.round] for run in good if base.get(run.round)]
    busy = median(run.busy for run in good)
    return Summary(
        name,
        len(runs),
        void,
        median(run.per_cpu_s for run in good),
        median(pairs) if pairs else None,
        median(run.per_s for run in good),
        busy < BUSY,
        busy,
        median(run.p50_ms for run in good),
        median(run.p99_ms for run in good),
        median(run.p999_ms for run in good),
    )
