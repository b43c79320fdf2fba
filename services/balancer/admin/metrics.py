"""The ledger, the registry and the processes as Prometheus metrics, collected when asked.

A target's counters begin at 0 when it joins and end when it leaves. They survive restarts of any
process but the supervisor, because they live in shared memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from services.balancer.admin.scoreboard import CLASSES, EJECTIONS, FAILURES, cumulative
from services.balancer.admin.status import Status
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import (
    LATENCY_BOUNDS_US,
    ClusterCell,
    Ledger,
    ProcessCell,
    TargetCell,
)
from services.balancer.messages import Health

_BOUNDS_S: Final = [*(str(bound / 1e6) for bound in LATENCY_BOUNDS_US), "+Inf"]
_BY_TARGET: Final = ("cluster", "target")
_BY_PROCESS: Final = ("process",)

# (metric, help, cell); a counter's name gets its `_total` from the library.
_COUNTERS: Final = (
    ("connections", "Client connections accepted", ProcessCell.CONNECTIONS),
    ("connections_refused", "Clients closed at accept: limit", ProcessCell.CONNECTIONS_REFUSED),
    ("client_requests", "Requests read from clients", ProcessCell.REQUESTS),
    ("client_aborts", "Clients gone before their answer", ProcessCell.CLIENT_ABORTS),
    ("tunnels", "Connections that switched protocols", ProcessCell.TUNNELS),
    ("access_lines", "Lines taken for the access log", ProcessCell.ACCESS_LINES),
    ("access_lines_dropped", "Lines in no access log", ProcessCell.ACCESS_LINES_DROPPED),
    ("retries", "Attempts repeated on another target", ProcessCell.RETRIES),
)
_GAUGES: Final = (
    ("connections_open", "Client connections now", ProcessCell.CONNECTIONS_OPEN),
    ("tunnels_open", "Tunnels now", ProcessCell.TUNNELS_OPEN),
    ("process_tasks", "asyncio tasks alive", ProcessCell.TASKS),
)
_QUEUE: Final = {"full": ClusterCell.QUEUE_FULL, "timeout": ClusterCell.QUEUE_TIMEOUTS}
_ANSWERED_HERE: Final = (
    ("2xx", ProcessCell.ANSWERED_HERE_2XX),
    ("3xx", ProcessCell.ANSWERED_HERE_3XX),
    ("4xx", ProcessCell.ANSWERED_HERE_4XX),
    ("5xx", ProcessCell.ANSWERED_HERE_5XX),
)


class LedgerCollector(Collector):
    """Reads everything anew at each scrape; keeps nothing."""

    def __init__(self, fleet: Fleet, ledger: Ledger, status: Status) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._targets()
        yield from self._clusters()
        yield from self._sources()
        yield from self._processes()

    def _targets(self) -> Iterator[Metric]:
        requests = _counter("requests", "Answers by class of their code", (*_BY_TARGET, "code"))
        attempts = _counter("attempts", "Requests sent or tried, retries included", _BY_TARGET)
        failures = _counter("failures", "Attempts without a usable answer", (*_BY_TARGET, "cause"))
        aborted = _counter("aborted", "Attempts that the client left first", _BY_TARGET)
        connects = _counter("target_connections", "Connections opened", _BY_TARGET)
        latency = HistogramMetricFamily(
            "steelyard_latency_seconds",
            "From a request sent to the end of its answer's body",
            labels=_BY_TARGET,
        )
        pending = _gauge("pending", "Requests sent and not finished", _BY_TARGET)
        healthy = _gauge("target_healthy", "1 when health checks pass", _BY_TARGET)
        draining = _gauge("target_draining", "1 while draining", _BY_TARGET)
        ejected = _gauge("target_ejected", "Processes that have it ejected", _BY_TARGET)
        ejections = _counter("ejections", "Ejections by their cause", (*_BY_TARGET, "cause"))
        probe = _gauge("probe_latency_seconds", "The last probe, if it succeeded", _BY_TARGET)
        cpu = _gauge("target_cpu_ratio", "CPU as the target reports it, 0 to 1", _BY_TARGET)
        for member in self._fleet.registry.members.values():
            labels = (member.cluster, str(member.address))
            totals = self._ledger.target_totals(member.slot)
            for name, cell in CLASSES.items():
                requests.add_metric((*labels, name), totals[cell])
            for name, cell in FAILURES.items():
                failures.add_metric((*labels, name), totals[cell])
            for name, cell in EJECTIONS.items():
                ejections.add_metric((*labels, name), totals[cell])
            ejected.add_metric(labels, totals[TargetCell.EJECTED])
            attempts.add_metric(labels, totals[TargetCell.REQUESTS])
            aborted.add_metric(labels, totals[TargetCell.ABORTED])
            connects.add_metric(labels, totals[TargetCell.CONNECTS])
            counts = cumulative(totals[TargetCell.LATENCY_BUCKET_0 :])
            buckets: Any = list(zip(_BOUNDS_S, map(float, counts), strict=True))
            latency.add_metric(labels, buckets, totals[TargetCell.LATENCY_SUM_US] / 1e6)
            pending.add_metric(labels, self._ledger.pending_total(member.slot))
            healthy.add_metric(labels, member.state.health is Health.HEALTHY)
            draining.add_metric(labels, member.draining)
            if member.probe is not None and member.probe.latency_s is not None:
                probe.add_metric(labels, member.probe.latency_s)
            if member.probe is not None and member.probe.cpu is not None:
                cpu.add_metric(labels, member.probe.cpu)
        yield from (requests, attempts, failures, aborted, connects, latency)
        yield from (pending, healthy, draining, ejected, ejections, probe, cpu)

    def _clusters(self) -> Iterator[Metric]:
        panic = _gauge("panic", "1 while too few targets are eligible: all are used", ("cluster",))
        panics = _counter("panics", "Times that a process began to use all", ("cluster",))
        queued = _gauge("queued", "Requests that wait for a place on a target", ("cluster",))
        turned_away = _counter("queue_refused", "Requests that got no place", ("cluster", "cause"))
        refused = _counter("retries_refused", "Retries that the budget refused", ("cluster",))
        for name, column in self._status.columns.items():
            rows = self._ledger.cluster_rows(column)
            panic.add_metric((name,), any(row[ClusterCell.PANICKING] for row in rows))
            panics.add_metric((name,), sum(row[ClusterCell.PANICS] for row in rows))
            refused.add_metric((name,), sum(row[ClusterCell.RETRIES_REFUSED] for row in rows))
            queued.add_metric((name,), sum(row[ClusterCell.QUEUED] for row in rows))
            for cause, cell in _QUEUE.items():
                turned_away.add_metric((name, cause), sum(row[cell] for row in rows))
        yield from (panic, panics, refused, queued, turned_away)

    def _sources(self) -> Iterator[Metric]:
        failing = _gauge(
            "discovery_failing", "1 while a source has a problem", ("cluster", "source")
        )
        for (cluster, name), watch in self._fleet.watches.items():
            failing.add_metric((cluster, name), watch.error is not None)
        yield failing

    def _processes(self) -> Iterator[Metric]:
        rows = [(str(row), self._ledger.process(row)) for row in range(self._ledger.rows)]
        for name, text, cell in _COUNTERS:
            yield _filled(
                _counter(name, text, _BY_PROCESS), [(r, cells[cell]) for r, cells in rows]
            )
        for name, text, cell in _GAUGES:
            yield _filled(_gauge(name, text, _BY_PROCESS), [(r, cells[cell]) for r, cells in rows])
        answered = _counter("answered_here", "Answers by the balancer itself", ("process", "code"))
        for row, cells in rows:
            for code, cell in _ANSWERED_HERE:
                answered.add_metric((row, code), cells[cell])
        yield answered
        cpu = _gauge("process_cpu_seconds", "CPU time of the present process", _BY_PROCESS)
        yield _filled(cpu, [(row, cells[ProcessCell.CPU_US] / 1e6) for row, cells in rows])
        processes = self._status.processes or ()
        up = [(str(process.row), float(process.ready)) for process in processes]
        yield _filled(_gauge("process_ready", "1 when it serves", _BY_PROCESS), up)
        restarts = [(str(process.row), float(process.restarts)) for process in processes]
        yield _filled(_counter("process_restarts", "Times replaced", _BY_PROCESS), restarts)
        version = GaugeMetricFamily(
            "steelyard_config_version", "Rises with each reload", value=self._status.config_version
        )
        yield version


def _counter(name: str, text: str, labels: tuple[str, ...]) -> CounterMetricFamily:
    return CounterMetricFamily(f"steelyard_{name}", text, labels=labels)


def _gauge(name: str, text: str, labels: tuple[str, ...]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"steelyard_{name}", text, labels=labels)


def _filled(
    family: CounterMetricFamily | GaugeMetricFamily, values: list[tuple[str, float]]
) -> Metric:
    for label, value in values:
        family.add_metric((label,), value)
    return family
