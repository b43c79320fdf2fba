"""Two data-plane processes beside one: what a request costs when there are two.

Two processes on two cores can do twice what one does, unless a request costs more for there being
two (counts of the other to add up, memory to share) or one of them gets more than its half. Both
are seen without two cores to spare: one process and two are run in turn, on the core that the proxy
has, with as many clients for each process, so that each turn of a loop has as much to do. With a
core each they would do

    2 x CPU of a request with one process / CPU of a request with two       if the halves are even
    CPU of a request with one process / CPU of the busier per request of both       as they were

and the whole tree's CPU counts, so that supervisor and control plane are paid for once. Two that
share a core also pay for changing places on it, which two cores would not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from loadtest.peers.contenders import COMPILED, Launch, Layout, Proxy, steelyard
from loadtest.peers.generate import Generator
from loadtest.peers.machine import Cores
from loadtest.peers.measure import WARM_UP_S, fault, look
from loadtest.peers.process import Running, free_ports, running
from loadtest.peers.scenario import Scenario

COUNTS: Final = (1, 2)
MODULE: Final = "services.balancer.dataplane"


@dataclass(frozen=True, slots=True)
class ProcessesRun:
    """One run; CPU seconds of the tree and of its busiest data-plane process."""

    proxy: str
    round: int
    processes: int
    requests: int
    cpu_s: float
    busiest_s: float
    void: str | None = None


@dataclass(frozen=True, slots=True)
class Processes:
    """Medians over the rounds of one build; ratios are of two processes to one."""

    proxy: str
    one_per_cpu_s: float
    two_per_cpu_s: float
    even: float
    as_they_were: float


def play(
    proxy: Proxy,
    program: str,
    scenario: Scenario,
    generator: Generator,
    targets: tuple[int, ...],
    *,
    policy: str,
    cores: Cores,
    rng: Random,
    rounds: int,
    seconds: int,
    say: Callable[[ProcessesRun], None],
) -> tuple[ProcessesRun, ...]:
    """One process and two in turn. Raises PeersError."""
    runs: list[ProcessesRun] = []
    for round_ in range(rounds):
        for count in COUNTS[:: 1 if round_ % 2 else -1]:
            asked = replace(scenario, connections=scenario.connections * count)
            launch = steelyard(policy, compiled=proxy.name == COMPILED.name, processes=count)
            with TemporaryDirectory(prefix=f"steelyard-{count}-") as name:
                listen, admin = free_ports(2, rng)
                layout = Layout(listen, admin, targets, Path(name))
                made: Launch = launch(program, layout)
                with running(
                    made,
                    name=proxy.title,
                    listen=listen,
                    directory=layout.directory,
                    cores=cores.proxy,
                ) as started:
                    wrong = look(asked, listen)
                    generator.run(asked, listen, WARM_UP_S)
                    before_s, tree_s = _each_s(started), started.cpu_s()
                    got = generator.run(asked, listen, seconds)
                    after_s, tree_s = _each_s(started), started.cpu_s() - tree_s
            busiest_s = max(after_s[pid] - before_s.get(pid, 0.0) for pid in after_s)
            run = ProcessesRun(
                proxy.name,
                round_,
                count,
                got.requests,
                tree_s,
                busiest_s,
                wrong or fault(asked, got),
            )
            say(run)
            runs.append(run)
    return tuple(runs)


def _each_s(started: Running) -> dict[int, float]:
    """CPU seconds of each data-plane process."""
    return {
        process.pid: sum(process.cpu_times()[:2])
        for process in started.tree()
        if MODULE in process.cmdline()
    }


def summarize(runs: Sequence[ProcessesRun]) -> list[Processes]:
    """One for each build that has a round without a void run."""
    found = []
    for name in dict.fromkeys(run.proxy for run in runs):
        mine = {(run.round, run.processes): run for run in runs if run.proxy == name}
        pairs = [
            (one, two)
            for (round_, count), one in mine.items()
            if count == 1 and not one.void
            if (two := mine.get((round_, 2))) is not None and not two.void
        ]
        if pairs:
            found.append(
                Processes(
                    name,
                    median(one.requests / one.cpu_s for one, _ in pairs),
                    median(two.requests / two.cpu_s for _, two in pairs),
                    median(2 * _each(one) / _each(two) for one, two in pairs),
                    median(
                        one.busiest_s / one.requests / (two.busiest_s / two.requests)
                        for one, two in pairs
                    ),
                )
            )
    return found


def _each(run: ProcessesRun) -> float:
    return run.cpu_s / run.requests
