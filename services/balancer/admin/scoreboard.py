"""Clusters and targets as plain data, from the registry and the ledger. Fastest probe first.

Latency quantiles are estimates: linear inside the histogram's bucket, as Prometheus does it. They
cover a target's whole life in its slot.
"""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from typing import Any, Final

from services.balancer.config import ClusterConfig
from services.balancer.fleet.attend import Fleet
from services.balancer.fleet.registry import LEAVING, Member
from services.balancer.ledger import LATENCY_BOUNDS_US, ClusterCell, Ledger, TargetCell
from services.balancer.messages import Health

QUANTILES: Final = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}
CLASSES: Final = {
    "1xx": TargetCell.RESPONSES_1XX,
    "2xx": TargetCell.RESPONSES_2XX,
    "3xx": TargetCell.RESPONSES_3XX,
    "4xx": TargetCell.RESPONSES_4XX,
    "5xx": TargetCell.RESPONSES_5XX,
}
FAILURES: Final = {
    "connect": TargetCell.CONNECT_FAILURES,
    "broken": TargetCell.BROKEN,
    "timeout": TargetCell.TIMEOUTS,
    "starved": TargetCell.STARVED,  # of the balancer's own descriptors or ports
}

EJECTIONS: Final = {
    "consecutive": TargetCell.EJECTIONS_CONSECUTIVE,
    "failure_percent": TargetCell.EJECTIONS_FAILURE_PERCENT,
    "success_rate": TargetCell.EJECTIONS_SUCCESS_RATE,
    "unreachable": TargetCell.EJECTIONS_UNREACHABLE,
}


def quantile_us(buckets: list[int], quantile: float) -> float | None:
    """The latency below which that part of the counted requests is; None when none is counted.

    What is slower than the last bound is given as the last bound.
    """
    total = sum(buckets)
    if total <= 0:
        return None
    rank = quantile * total
    seen = 0.0
    for index, count in enumerate(buckets[:-1]):
        if count and seen + count >= rank:
            low = LATENCY_BOUNDS_US[index - 1] if index else 0
            return low + (LATENCY_BOUNDS_US[index] - low) * (rank - seen) / count
        seen += count
    return float(LATENCY_BOUNDS_US[-1])


def state(member: Member, ledger: Ledger) -> str:
    """healthy, unhealthy, unknown, ejected (healthy, but not to each process), or draining."""
    if member.draining:
        return "draining"
    if member.state.health is Health.HEALTHY and ejected_by(member, ledger):
        return "ejected"
    return member.state.health.value


def ejected_by(member: Member, ledger: Ledger) -> int:
    """How many processes have ejected a target."""
    rows = range(ledger.rows)
    return sum(ledger.target(row, member.slot)[TargetCell.EJECTED] for row in rows)


def cluster_data(fleet: Fleet, ledger: Ledger, cluster: ClusterConfig) -> dict[str, Any]:
    """One cluster with its sources and targets."""
    members = [m for m in fleet.registry.members.values() if m.cluster == cluster.name]
    members.sort(key=_probe_rank)
    rows = ledger.cluster_rows(list(fleet.clusters).index(cluster.name))
    return {
        "name": cluster.name,
        "policy": {"name": cluster.policy.name, **cluster.policy.params},
        "eligible": sum(state(member, ledger) == "healthy" for member in members),
        "queued": sum(row[ClusterCell.QUEUED] for row in rows),
        "panic": any(row[ClusterCell.PANICKING] for row in rows),
        "sources": [
            {
                "source": watch.source.name,
                "addresses": watch.found,
                "answered_at": when(watch.answered_at),
                "error": watch.error,
            }
            for watch in fleet.watches.values()
            if watch.cluster == cluster.name
        ],
        "targets": [target_data(member, ledger) for member in members],
    }


def target_data(member: Member, ledger: Ledger) -> dict[str, Any]:
    """One target: state, live pending, counts since it joined, latencies in milliseconds."""
    totals = ledger.target_totals(member.slot)
    buckets = totals[TargetCell.LATENCY_BUCKET_0 :]
    finished = sum(buckets)
    mean_us = totals[TargetCell.LATENCY_SUM_US] / finished if finished else None
    probe = member.probe
    return {
        "id": member.id,
        "address": str(member.address),
        "instance_id": member.instance,
        "state": state(member, ledger),
        "health": member.state.health.value,
        "health_since": when(member.health_since),
        "check_error": member.check_error,
        "since": when(member.since),
        "sources": sorted(member.sources),
        "leaving": member.sources == {LEAVING},  # until another can take its place
        "slot": member.slot,
        "weight": member.weight,
        "pending": ledger.pending_total(member.slot),
        "pending_elsewhere": ledger.elsewhere()[member.slot],  # as other balancers told
        "requests": totals[TargetCell.REQUESTS],
        "responses": {name: totals[cell] for name, cell in CLASSES.items()},
        "failures": {name: totals[cell] for name, cell in FAILURES.items()},
        "ejected_by": totals[TargetCell.EJECTED],  # processes
        "ejections": {name: totals[cell] for name, cell in EJECTIONS.items()},
        "aborted": totals[TargetCell.ABORTED],
        "connects": totals[TargetCell.CONNECTS],
        "latency": {
            "mean_ms": _ms(mean_us),
            **{name: _ms(quantile_us(buckets, q)) for name, q in QUANTILES.items()},
        },
        "probe": {
            "latency_ms": None if probe is None else _ms(_us(probe.latency_s)),
            "pending": probe and probe.pending,
            "cpu": probe and probe.cpu,
            "error": probe and probe.error,
            "at": when(member.probed_at),
        },
        "cloudwatch_cpu": member.cloudwatch_cpu,
    }


def when(wall: float | None) -> str | None:
    """Wall-clock seconds as RFC 3339."""
    if wall is None:
        return None
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def cumulative(buckets: list[int]) -> list[int]:
    """Counts up to and including each bucket, as Prometheus wants them."""
    return list(itertools.accumulate(buckets))


def _probe_rank(member: Member) -> tuple[float, str]:
    latency_s = member.probe.latency_s if member.probe else None
    return (math.inf if latency_s is None else latency_s, member.id)


def _us(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1e6


def _ms(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds / 1000, 3)
