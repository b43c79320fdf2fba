"""Continuous probes: how fast does a target answer, and what does it say of its load.

They are never done: a scoreboard filled once at start is a record of the past. A target without a
load report still tells its latency, whatever the status: even a 404 took the time it took. An
answer 5xx is a failed probe, or a target that fails at once would be the fastest.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from random import Random
from typing import Any, Final, NamedTuple

from services.balancer.config import Probe
from services.balancer.fleet.line import Line, LineError

PROBES_PER_S: Final = 100.0  # over all targets: 1 to 2 % of a core; more targets, longer intervals
JITTER: Final = 0.1


class Reading(NamedTuple):
    """One probe. `latency_s` is None when it failed, and `error` says why."""

    latency_s: float | None
    pending: float | None = None
    cpu: float | None = None  # 0..1
    instance: str | None = None
    error: str | None = None


def parse_report(body: bytes) -> tuple[float | None, float | None, str | None]:
    """Pending, CPU (0..1) and instance id of a load report; None for each that is not there."""
    try:
        report = json.loads(body)
    except (ValueError, RecursionError):  # ValueError: not JSON, or not UTF-8
        return None, None, None
    if not isinstance(report, dict):
        return None, None, None
    instance = report.get("instance_id")
    return (
        _number(report.get("pending"), math.inf),
        _number(report.get("cpu_utilization"), 1.0),
        instance[:200] if isinstance(instance, str) else None,
    )


def _number(value: Any, ceiling: float) -> float | None:
    """A target may say anything: only a finite number from 0 up counts."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return min(number, ceiling) if math.isfinite(number) and number >= 0 else None


async def probe_once(line: Line, probe: Probe) -> Reading:
    """Ask once; never raises for what the target does."""
    try:
        answer = await line.get(probe.path, probe.timeout_s)
    except LineError as error:
        return Reading(None, error=str(error))
    if answer.status >= 500:
        return Reading(None, error=f"answered {answer.status}")
    if answer.status != 200:
        return Reading(answer.latency_s)
    pending, cpu, instance = parse_report(answer.body)
    return Reading(answer.latency_s, pending, cpu, instance)


def interval_s(probe: Probe, targets: int) -> float:
    """The configured interval, or longer when there are too many targets for it."""
    return max(probe.interval_s, targets / PROBES_PER_S)


async def run_probes(
    line: Line,
    probe: Probe,
    *,
    report: Callable[[Reading], None],
    gate: AbstractAsyncContextManager[object],
    rng: Random,
    targets: Callable[[], int],
) -> None:
    """Probe one target until cancelled; `targets` says how many there are at the moment."""
    loop = asyncio.get_running_loop()
    while True:
        async with gate:
            started = loop.time()
            reading = await probe_once(line, probe)
        report(reading)
        due = started + interval_s(probe, targets()) * rng.uniform(1.0 - JITTER, 1.0 + JITTER)
        await asyncio.sleep(max(0.0, due - loop.time()))
