"""One run: warm up, look at what is held, let faults strike under load, look again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

from loadtest.chaos.balancer import Balancer, Held
from loadtest.chaos.faults import Faults, Strike
from loadtest.chaos.load import Load
from loadtest.chaos.plan import Kind, faults
from loadtest.chaos.targets import Targets
from loadtest.chaos.verdict import Ending, Verdict, grown, judge
from loadtest.peers.process import free_ports

TARGETS: Final = 4
PROCESSES: Final = 2
CONNECTIONS: Final = 800  # of clients, per process: fewer than a flood brings
SETTLE_S: Final = 15.0  # for pools to run dry after the load
DRY_S: Final = 2.5  # beyond the time that a pooled connection may be idle
LOOK_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run. `hold_s` is how long each fault lasts, `calm_s` the pause between two."""

    seed: int = 1
    seconds: float = 240.0
    rate: float = 500.0  # requests a second
    hold_s: float = 2.0
    calm_s: float = 1.0
    warm_s: float = 5.0
    kinds: tuple[Kind, ...] = tuple(Kind)
    strikes: int | None = None  # at most so many


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    verdict: Verdict
    ending: Ending
    strikes: Sequence[Strike]
    seconds: float
    late_s: float


def config(listen: int, admin: int, targets: list[int]) -> dict[str, Any]:
    """The balancer's file: times short enough to be seen within a fault, all else default."""
    return {
        "listen": f"127.0.0.1:{listen}",
        "admin": f"127.0.0.1:{admin}",
        "processes": PROCESSES,
        "clusters": [
            {
                "name": "cluster1",
                "targets": [{"static": [f"127.0.0.1:{port}" for port in targets]}],
                "health": {"interval_s": 0.4, "timeout_s": 0.4, "rise": 1, "fall": 2},
                "retry": {"try_s": 0.7},
                "ejection": {"base_s": 1.0, "max_s": 3.0},
            }
        ],
        "routes": [{"path": "/cluster1", "cluster": "cluster1"}],
        "timeouts": {
            "connect_s": 0.5,
            "response_head_s": 2.5,
            "body_idle_s": 3.0,
            "target_keep_alive_s": 1.0,
        },
        "limits": {"connections": CONNECTIONS},
    }


async def drive(plan: Plan, folder: Path, tell: Callable[[str], None]) -> Outcome:
    """Run it in `folder`; `tell` hears of each fault. Raises ChaosError when nothing starts."""
    rng = Random(plan.seed)
    ports = free_ports(TARGETS + 2, rng)
    settings = config(ports[0], ports[1], ports[2:])
    async with (
        Targets(folder, ports[2:]) as targets,
        Balancer(folder, settings) as balancer,
    ):
        warm = Load(balancer.port, plan.rate, Random(plan.seed + 1))
        await _load_for(warm, plan.warm_s)
        start = await _settled(balancer, None)
        warm_seen = targets.seen()

        load = Load(balancer.port, plan.rate, rng)
        began = time.monotonic()
        running = asyncio.create_task(load.run())
        strikes: list[Strike] = []
        try:
            striking = Faults(balancer, targets, plan.hold_s)
            for fault in faults(plan.seed, TARGETS, plan.kinds):
                over = time.monotonic() - began >= plan.seconds
                if over or (plan.strikes is not None and len(strikes) >= plan.strikes):
                    break
                await asyncio.sleep(plan.calm_s)
                strike = await striking.strike(fault)
                strikes.append(strike)
                whole = f"whole after {strike.whole - strike.began:.1f} s"
                tell(f"{fault}: {strike.problem or whole}")
            await asyncio.sleep(plan.calm_s)
        finally:
            load.stop()
            await running
        seconds = time.monotonic() - began
        pending = await balancer.wait_pending_zero(SETTLE_S)
        end = await _settled(balancer, start)
        ending = Ending(start, end, pending, len(load.unasked))
        seen = targets.seen()
        seen.subtract(warm_seen)
        verdict = judge(load.records, strikes, seen, ending)
    return Outcome(verdict, ending, strikes, seconds, load.late_s)


async def _load_for(load: Load, seconds: float) -> None:
    running = asyncio.create_task(load.run())
    await asyncio.sleep(seconds)
    load.stop()
    await running


async def _settled(balancer: Balancer, start: Sequence[Held] | None) -> list[Held]:
    """What is held once pools have run dry: when it no longer falls, or is back to the start."""
    deadline = time.monotonic() + SETTLE_S
    held = balancer.held()
    low, lowest_at = sum(h.descriptors for h in held), time.monotonic()
    while time.monotonic() < deadline:
        await asyncio.sleep(LOOK_S)
        held = balancer.held()
        if start is not None and not grown(start, held):
            return held
        now = sum(h.descriptors for h in held)
        if now < low:
            low, lowest_at = now, time.monotonic()
        elif start is None and time.monotonic() - lowest_at > DRY_S:
            break
    return held
