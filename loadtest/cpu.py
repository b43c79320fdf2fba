"""CPU of every target while the load runs, from wherever it can be had."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import psutil

MOST_READINGS: Final = 200_000  # in one run, all targets together


class CpuSource(Protocol):
    """Anything that can say how busy each target is."""

    @property
    def words(self) -> str:
        """What is measured, for the caption of the chart."""
        ...

    async def read(self) -> Mapping[str, float]:
        """Target -> share of the CPU that it may use, 0..1. Empty when nothing is known now.

        May raise CpuUnreadable; the run goes on without.
        """
        ...


class CpuUnreadable(RuntimeError):
    """This source gives nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class CpuReading:
    """One look at one target. `at_s` counts from the start of the run."""

    at_s: float
    target: str
    share: float


class ProcessCpu:
    """Local processes by pid, children included: share of one core since the last look."""

    words = "share of one core, children included (from the operating system)"

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = dict(pids)
        self._last: dict[str, tuple[float, float]] = {}  # target -> (when, CPU seconds used)

    async def read(self) -> Mapping[str, float]:
        now = time.monotonic()
        shares: dict[str, float] = {}
        for target, pid in self._pids.items():
            # A process that has ended is a finding of the test, not a failure of the measurement.
            with contextlib.suppress(psutil.Error):
                used_s = _cpu_s(psutil.Process(pid))
                if target in self._last:
                    then, before_s = self._last[target]
                    shares[target] = max(0.0, (used_s - before_s) / max(now - then, 1e-6))
                self._last[target] = (now, used_s)
        return shares


def _cpu_s(process: psutil.Process) -> float:
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        times = each.cpu_times()
        total += times.user + times.system
    return float(total)


class AdminCpu:
    """What the targets report of themselves, as the balancer's admin API knows it."""

    words = "share of the CPU each target may use, as it reports of itself"

    def __init__(self, admin_url: str) -> None:
        self._url = f"{admin_url.rstrip('/')}/api/clusters"

    async def read(self) -> Mapping[str, float]:
        try:
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                answer = (await client.get(self._url)).raise_for_status().json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise CpuUnreadable(f"CPU per target: {self._url}: {_brief(error)}") from error
        return cpu_shares(answer)


def _brief(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def cpu_shares(answer: Any) -> dict[str, float]:
    """Target -> CPU share out of `/api/clusters`; what is missing there is missing here.

    Reads `{"clusters": [{"targets": [{"id", "instance_id", "probe": {"cpu"}}]}]}` and names a
    target by its instance id where that is known, as the charts of requests do.
    """
    shares: dict[str, float] = {}
    clusters = answer.get("clusters") if isinstance(answer, dict) else None
    for cluster in clusters if isinstance(clusters, list) else []:
        for target in cluster.get("targets", []) if isinstance(cluster, dict) else []:
            if not isinstance(target, dict):
                continue
            probe = target.get("probe")
            share = probe.get("cpu") if isinstance(probe, dict) else None
            name = target.get("instance_id") or target.get("id")
            if name and isinstance(share, int | float):
                shares[str(name)] = float(share)
    return shares


class CpuRecord:
    """Readings of one run, taken in the background; the first failure is kept and ends it."""

    def __init__(self, source: CpuSource | None) -> None:
        self._source = source
        self.readings: list[CpuReading] = []
        self.trouble: str | None = None

    @contextlib.asynccontextmanager
    async def during(self, interval_s: float) -> AsyncIterator[None]:
        """Read at once, every `interval_s`, and once more at the end."""
        if self._source is None:
            yield
            return
        started = time.monotonic()
        watching = asyncio.create_task(self._watch(self._source, started, interval_s))
        try:
            yield
        finally:
            watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watching
        if self.trouble is None:
            await self._look(self._source, started)

    async def _watch(self, source: CpuSource, started: float, interval_s: float) -> None:
        for _ in range(MOST_READINGS):
            if not await self._look(source, started) or len(self.readings) >= MOST_READINGS:
                return
            await asyncio.sleep(interval_s)

    async def _look(self, source: CpuSource, started: float) -> bool:
        try:
            shares = await source.read()
        except CpuUnreadable as error:
            self.trouble = str(error)
            return False
        at_s = time.monotonic() - started
        self.readings += [CpuReading(at_s, target, share) for target, share in shares.items()]
        return True
