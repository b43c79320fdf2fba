"""Numbers and verdicts as text, the same in every table."""

from __future__ import annotations

from loadtest.result import ClusterResult, Result
from loadtest.verdict import Outcome

NOTHING = "–"  # noqa: RUF001 - an en dash is what an empty cell shows


def milliseconds(value_ms: float | None) -> str:
    """Three significant digits; "1.50 s" from ten seconds on stays in ms for comparison's sake."""
    if value_ms is None:
        return NOTHING
    return f"{value_ms:,.0f}" if value_ms >= 100 else f"{value_ms:.{1 if value_ms >= 10 else 2}f}"


def count(value: float) -> str:
    return f"{value:,.0f}"


def seconds(value_s: float) -> str:
    return f"{value_s:.3f}" if value_s < 10 else f"{value_s:.1f}"


def percent(share: float) -> str:
    """ "0 %" only for really none; tiny shares keep their digits."""
    if share == 0:
        return "0 %"
    return f"{share * 100:.{1 if share >= 0.01 else 3}f} %"


def statuses(cluster: ClusterResult) -> str:
    """ "200: 990, none: 10"; "none" is a request without a response."""
    return ", ".join(f"{status}: {number:,}" for status, number in cluster.statuses.items())


def mark(outcome: Outcome) -> str:
    """A sign beside the word, so that colour is never the only carrier."""
    return {"passed": "✓", "interrupted": "■"}.get(outcome.value, "✗")


def load_words(result: Result) -> str:
    """What was asked for, in a phrase."""
    plan = result.plan
    fresh = ", a new connection for every request" if plan.fresh_connections else ""
    if plan.scenario.closed_loop:
        return (
            f"{plan.requests:,} requests to each cluster, one cluster after the other, "
            f"{plan.users_per_cluster:,} at once{fresh}"
        )
    shape = {
        "steady": f"{plan.rate_per_s:g} requests a second to each cluster",
        "soak": f"{plan.rate_per_s:g} requests a second to each cluster",
        "ramp": f"{plan.rate_per_s / 10:g} rising to {plan.rate_per_s:g} requests a second "
        "to each cluster",
        "spike": f"{plan.rate_per_s / 10:g} requests a second to each cluster, "
        f"for a short while {plan.rate_per_s:g}",
    }[plan.scenario.value]
    return f"{shape}, for {plan.load_s:g} s, all clusters at the same time{fresh}"


HEADINGS = (
    "cluster",
    "requests",
    "failed",
    "dropped",
    "time s",
    "requests/s",
    "p50 ms",
    "p90 ms",
    "p95 ms",
    "p99 ms",
    "max ms",
    "status codes",
)


def row(cluster: ClusterResult) -> tuple[str, ...]:
    """The cells below HEADINGS."""
    known = cluster.latency
    return (
        cluster.name,
        count(cluster.requests),
        f"{count(cluster.failed)} ({percent(cluster.failed_share)})",
        count(cluster.dropped),
        seconds(cluster.duration_s),
        count(cluster.rate_per_s),
        *(
            milliseconds(None if known is None else value)
            for value in (
                (known.p50_ms, known.p90_ms, known.p95_ms, known.p99_ms, known.max_ms)
                if known
                else (None,) * 5
            )
        ),
        statuses(cluster) or NOTHING,
    )


def facts(result: Result) -> tuple[tuple[str, str], ...]:
    """Where and how it was measured."""
    host = result.host
    return (
        ("target", result.plan.target),
        ("load", load_words(result)),
        ("began", result.began_at),
        ("generator", f"{host.generator}, {host.generator_cpu_s:.2f} CPU seconds"),
        (
            "machine of the generator",
            f"{host.system}, {host.cpus} CPUs, {percent(host.busy_share)} busy during the run",
        ),
        *result.plan.tags,
    )
