"""One run from preflight to result."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import platform
import resource
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil

from loadtest import measure
from loadtest.cpu import CpuRecord, CpuSource
from loadtest.generator import Files, Generator, find_k6, k6_version, last_words, script_plan
from loadtest.plan import DRAIN_S, ClusterLoad, Plan
from loadtest.preflight import preflight
from loadtest.progress import Progress, ProgressMeter
from loadtest.result import ClusterResult, Host, Result, write_result
from loadtest.stream import Samples, SampleStream
from loadtest.verdict import judge, thresholds

LOOK_EVERY_S: Final = 0.5
START_AND_END_S: Final = 30.0  # k6's own start and summary, on a busy machine
BUSY_SHARE: Final = 0.9  # from here on requests wait for the generator's own machine
CPU_EVERY_S: Final = 1.0
CPU_EVERY_SHORT_S: Final = 0.1

OnProgress = Callable[[Progress], None]


def run(
    plan: Plan,
    out: Path,
    *,
    on_progress: OnProgress | None = None,
    cpu: CpuSource | None = None,
) -> Result:
    """`drive`, for callers without an event loop.

    SIGINT and SIGTERM end the load, not the result.
    """

    async def whole() -> Result:
        stop = asyncio.Event()
        with _stopped_by_signals(stop):
            return await drive(plan, out, on_progress=on_progress, cpu=cpu, stop=stop)

    return asyncio.run(whole())


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            # Only the main thread may take signals; elsewhere they stay the caller's.
            with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
                loop.add_signal_handler(number, stop.set)
                taken.append(number)
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


async def drive(
    plan: Plan,
    out: Path,
    *,
    on_progress: OnProgress | None = None,
    cpu: CpuSource | None = None,
    stop: asyncio.Event | None = None,
) -> Result:
    """Run `plan`, write its files (see `result`) into the folder `out`, return what was measured.

    on_progress: called about twice a second. cpu: asked for the targets' CPU meanwhile.
    stop: set it to end the load early; what was measured by then is the result (`INTERRUPTED`).
    Cancelling kills k6 and writes nothing more.

    Raises GeneratorMissing, TargetUnreachable, OSError (the folder cannot be written).
    Thresholds that are not met raise nothing: see `Result.verdict`.
    """
    binary = find_k6()
    version = await k6_version(binary)
    notes = await preflight(plan)
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    began_at = datetime.now(UTC).isoformat(timespec="seconds")
    stop = stop or asyncio.Event()
    record = CpuRecord(cpu)
    cpu_before_s = resource.getrusage(resource.RUSAGE_CHILDREN)
    psutil.cpu_percent()  # the next call gives the mean from here on
    started = time.monotonic()
    done: list[_Pass] = []
    async with record.during(CPU_EVERY_SHORT_S if plan.scenario.closed_loop else CPU_EVERY_S):
        for group in plan.passes:
            if not stop.is_set():
                work = _Pass(plan, group, out)
                await work.go(binary, stop, on_progress)
                done.append(work)
    wall_s = time.monotonic() - started
    host = Host(
        cpus=os.cpu_count() or 1,
        system=f"{platform.system()} {platform.machine()}",
        generator=f"k6 {version}",
        generator_cpu_s=_children_cpu_s() - (cpu_before_s.ru_utime + cpu_before_s.ru_stime),
        busy_share=psutil.cpu_percent() / 100,
    )
    if record.trouble:
        notes += (record.trouble,)
    if host.busy_share > BUSY_SHARE and not plan.scenario.closed_loop:
        notes += (
            f"the generator's machine was {host.busy_share:.0%} busy: "
            "latency includes waiting for its CPU",
        )
    result = _result(
        plan,
        done,
        notes=notes,
        began_at=began_at,
        wall_s=wall_s,
        host=host,
        interrupted=stop.is_set(),
        record=record,
        cpu_words=cpu.words if cpu is not None else "",
    )
    write_result(result, out)
    return result


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@dataclass
class _Pass:
    """One k6 process and what came out of it."""

    plan: Plan
    group: tuple[ClusterLoad, ...]
    out: Path
    exit_code: int = 0
    summary: dict[str, Any] = field(default_factory=dict)
    overdue: bool = False

    def __post_init__(self) -> None:
        names = tuple(cluster.name for cluster in self.group)
        self.label = " + ".join(names)
        self.files = Files.of_pass(self.out.resolve(), "-".join(names))
        self.stream = SampleStream(names)

    async def go(self, binary: Path, stop: asyncio.Event, on_progress: OnProgress | None) -> None:
        self.files.summary.unlink(missing_ok=True)  # an older run's must not pass for this one's
        self.files.plan.write_text(script_plan(self.plan, self.group), encoding="utf-8")
        async with Generator(binary, self.files) as generator:
            watching = [
                asyncio.create_task(self._stop_when(stop, generator)),
                asyncio.create_task(self._show(on_progress)),
            ]
            try:
                while piece := await generator.read():
                    self.stream.feed(piece)
                self.exit_code = await generator.wait()
            finally:
                for task in watching:
                    task.cancel()
                ended = await asyncio.gather(*watching, return_exceptions=True)
            for each in ended:  # a caller's on_progress that fails is the caller's to hear of
                if isinstance(each, Exception):
                    raise each
        # An interrupted k6 may leave no summary, or half of one; the samples are still good.
        with contextlib.suppress(OSError, ValueError):
            self.summary = json.loads(self.files.summary.read_text(encoding="utf-8"))

    async def _stop_when(self, stop: asyncio.Event, generator: Generator) -> None:
        limit_s = self.plan.load_s + DRAIN_S + START_AND_END_S
        try:
            await asyncio.wait_for(stop.wait(), timeout=limit_s)
        except TimeoutError:
            self.overdue = True
        await generator.stop()

    async def _show(self, on_progress: OnProgress | None) -> None:
        if on_progress is None:
            return
        closed = self.plan.scenario.closed_loop
        meter = ProgressMeter(
            self.label,
            planned=self.plan.planned_per_cluster * len(self.group),
            load_s=None if closed else self.plan.load_s,
            started=time.monotonic(),
        )
        try:
            while True:
                on_progress(meter.look(self.stream.clusters, time.monotonic()))
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            on_progress(meter.look(self.stream.clusters, time.monotonic()))


def _result(
    plan: Plan,
    done: list[_Pass],
    *,
    notes: tuple[str, ...],
    began_at: str,
    wall_s: float,
    host: Host,
    interrupted: bool,
    record: CpuRecord,
    cpu_words: str,
) -> Result:
    loads = {cluster.name: cluster for cluster in plan.clusters}
    samples = {name: found for work in done for name, found in work.stream.clusters.items()}
    span_s = max((measure.duration_s(each) for each in samples.values()), default=0.0)
    width_s = measure.slice_width_s(span_s)
    met = tuple(each for work in done for each in thresholds(work.summary))
    if any(work.overdue for work in done):
        notes += ("k6 did not end in time and was stopped",)
    return Result(
        plan=plan,
        began_at=began_at,
        wall_s=wall_s,
        host=host,
        clusters=tuple(
            _cluster(plan, loads[name], each, width_s) for name, each in samples.items()
        ),
        thresholds=met,
        verdict=judge(
            plan,
            requests={name: len(each) for name, each in samples.items()},
            failed_requests={
                name: sum(measure.failures(each).values()) for name, each in samples.items()
            },
            dropped={name: each.dropped for name, each in samples.items()},
            met=met,
            exit_codes=[work.exit_code for work in done],
            interrupted=interrupted,
            last_words=next((words for work in done if (words := last_words(work.files.log))), ""),
        ),
        exit_codes=tuple(work.exit_code for work in done),
        notes=notes,
        cpu=tuple(record.readings),
        cpu_words=cpu_words,
    )


def _cluster(plan: Plan, load: ClusterLoad, samples: Samples, width_s: float) -> ClusterResult:
    answered = measure.answered_ms(samples)
    span_s = measure.duration_s(samples)
    statuses: dict[str, int] = {}
    for status in samples.status:
        word = str(status) if status else "none"
        statuses[word] = statuses.get(word, 0) + 1
    return ClusterResult(
        name=load.name,
        url=plan.url(load),
        requests=len(samples),
        failed=len(samples) - len(answered),
        dropped=samples.dropped,
        duration_s=span_s,
        rate_per_s=len(samples) / span_s if span_s > 0 else 0.0,
        latency=measure.latency(answered),
        statuses=dict(sorted(statuses.items())),
        failures=dict(measure.failures(samples).most_common()),
        targets=dict(sorted(samples.targets.items())),
        slices=measure.slices(samples, width_s),
        bins=measure.distribution(answered),
    )
