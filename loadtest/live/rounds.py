"""Contenders in turn, round after round, with the machine's own part in it measured.

All proxies stay up for the whole run, idle while another is asked: what they know of the targets
gets old between their turns, and each turn begins with the scenario's warm-up. Each round has a
seed, the same for all; the order rotates.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import psutil

from loadtest.arena.scenario import Scenario
from loadtest.live.ask import SET_OUT_S, order
from loadtest.live.fleet import Fleet
from loadtest.live.schedule import Schedule, schedule
from loadtest.peers.contenders import Layout, Proxy
from loadtest.peers.machine import split_cores
from loadtest.peers.process import PeersError, Running, free_ports, running

GRACE_S: Final = 20.0  # beyond the schedule and the patience before the client counts as hung
MOST_LATE_S: Final = 0.005  # p99 of how late requests were sent
MOST_LOOK_S: Final = 0.020  # p99 of what the real machine adds
MOST_BUSY: Final = 0.9  # of all cores


@dataclass(frozen=True, slots=True)
class Turn:
    """One contender in one round. Latencies in seconds, a failure as the client's patience.

    `busy` is the share of all cores that anybody used; `proxy_cpu_s` and `workers_cpu_s` whose. One
    that was disturbed and done again does not count.
    """

    contender: str
    round: int
    p50_s: float
    p99_s: float
    mean_s: float
    requests: int
    failures: Mapping[str, int]
    late_p99_s: float
    look_p99_s: float
    busy: float
    proxy_cpu_s: float
    workers_cpu_s: float
    counts: bool = True

    @property
    def strain(self) -> str | None:
        """How the real machine was in the way, or None."""
        if self.late_p99_s > MOST_LATE_S:
            return f"requests left up to {self.late_p99_s * 1000:.0f} ms late (p99)"
        if self.look_p99_s > MOST_LOOK_S:
            return f"a look at an idle worker took {self.look_p99_s * 1000:.0f} ms (p99)"
        if self.busy > MOST_BUSY:
            return f"the real CPUs were {self.busy:.0%} busy"
        return None


@dataclass(frozen=True, slots=True)
class Standing:
    """A contender that runs."""

    proxy: Proxy
    port: int
    process: Running


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank; 0.0 of nothing."""
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered), ceil(share * len(ordered))) - 1)] if ordered else 0.0


@contextmanager
def field(
    proxies: Sequence[Proxy], programs: Mapping[str, str], fleet: Fleet, rng: Random
) -> Iterator[tuple[Standing, ...]]:
    """Start every proxy in front of the fleet; all are gone after the block. Raises PeersError."""
    cores = split_cores()
    standing = []
    with ExitStack() as stack:
        for proxy in proxies:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="steelyard-live-")))
            listen, admin = free_ports(2, rng)
            launch = proxy.launch(programs[proxy.name], Layout(listen, admin, fleet.ports, folder))
            started = running(
                launch,
                name=proxy.title,
                listen=listen,
                directory=folder,
                cores=cores.proxy | cores.rest,
            )
            standing.append(Standing(proxy, listen, stack.enter_context(started)))
        yield tuple(standing)


def play(
    scenario: Scenario,
    field: Sequence[Standing],
    fleet: Fleet,
    seeds: Sequence[int],
    *,
    again: int = 0,
) -> Iterator[Turn]:
    """Each round's turns as they end. Raises PeersError.

    Up to `again` turns in all that the real machine was in the way of are done once more, whatever
    their latencies were; the first try is given, too, and does not count.
    """
    for round_, seed in enumerate(seeds):
        plan = schedule(scenario, seed)
        start = round_ % len(field)
        for standing in (*field[start:], *field[:start]):
            turn = _turn(scenario, plan, standing, fleet, round_)
            while turn.strain is not None and again > 0:
                again -= 1
                yield replace(turn, counts=False)
                turn = _turn(scenario, plan, standing, fleet, round_)
            yield turn


def _turn(
    scenario: Scenario, plan: Schedule, standing: Standing, fleet: Fleet, round_: int
) -> Turn:
    wanted = order(plan, port=standing.port, workers=fleet.ports, patience_s=scenario.deadline_s)
    proxy_s, workers_s = standing.process.cpu_s(), fleet.cpu_s()
    before = psutil.cpu_times()
    got = _asked(wanted, plan.requests[-1][0] + scenario.deadline_s + SET_OUT_S)
    after = psutil.cpu_times()
    latencies_s = got["latencies_s"]
    return Turn(
        contender=standing.proxy.name,
        round=round_,
        p50_s=percentile(latencies_s, 0.5),
        p99_s=percentile(latencies_s, 0.99),
        mean_s=sum(latencies_s) / len(latencies_s),
        requests=len(latencies_s),
        failures=got["failures"],
        late_p99_s=percentile(got["late_s"], 0.99),
        look_p99_s=percentile(got["looks_s"], 0.99),
        busy=_busy(before, after),
        proxy_cpu_s=standing.process.cpu_s() - proxy_s,
        workers_cpu_s=fleet.cpu_s() - workers_s,
    )


def _asked(wanted: str, lasts_s: float) -> dict[str, Any]:
    with TemporaryDirectory(prefix="steelyard-live-ask-") as folder:
        file = Path(folder) / "order.json"
        file.write_text(wanted)
        argv = [sys.executable, "-m", "loadtest.live.ask", str(file)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=lasts_s + GRACE_S
            )
        except subprocess.TimeoutExpired:
            raise PeersError(f"the client did not end within {lasts_s + GRACE_S:.0f} s") from None
    if done.returncode != 0:
        raise PeersError(f"the client failed: {done.stderr.strip()[-300:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    if not figures["latencies_s"]:
        raise PeersError("the client measured nothing")
    return figures


def _busy(before: Any, after: Any) -> float:
    """The share of all cores between two readings of the system's clock."""
    spent = sum(after) - sum(before)
    idle = after.idle + after.iowait - before.idle - before.iowait
    return 1.0 - idle / spent if spent else 0.0
