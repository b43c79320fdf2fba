"""What to send where, as frozen data; k6's options are computed from it and nowhere else.

Rates and request counts are *per cluster*. Units are in the names; times are seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from services.contract import CLUSTER_LARGE, CLUSTER_MICRO

THOUSAND_REQUESTS: Final = 1000
THOUSAND_LIMIT_S: Final = 120.0  # a target that hangs must not hang the benchmark
DRAIN_S: Final = 5.0  # k6's gracefulStop: answers still on their way when the load ends
MOST_REQUESTS: Final = 5_000_000  # about 24 bytes each are kept in memory
MOST_CONNECTIONS: Final = 5_000  # virtual users of one run; each has a connection and a JS runtime

# What one run of each arrival-rate scenario means when nothing else is asked: requests a second
# per cluster, seconds.
DEFAULT_RATE: Final = 200.0
DEFAULT_DURATION_S: Final = {"steady": 30.0, "ramp": 30.0, "spike": 30.0, "soak": 600.0}

# k6 records only these of its tags: fewer tags are fewer bytes a sample and less of its CPU.
SYSTEM_TAGS: Final = ("scenario", "status", "error_code", "expected_response")
TREND_STATS: Final = ("min", "avg", "med", "p(90)", "p(95)", "p(99)", "p(99.9)", "max", "count")


class Scenario(StrEnum):
    """The shape of the load."""

    THOUSAND = "thousand"  # a fixed number of requests, closed loop, one cluster after the other
    STEADY = "steady"  # constant arrival rate
    RAMP = "ramp"  # arrival rate from a tenth to the whole
    SPIKE = "spike"  # a tenth of the rate, for a short while all of it
    SOAK = "soak"  # steady, for long

    @property
    def closed_loop(self) -> bool:
        """A new request waits for an old one to end; otherwise they arrive on a schedule."""
        return self is Scenario.THOUSAND


class PlanError(ValueError):
    """The plan cannot be run; every problem is in the message, one a line."""


@dataclass(frozen=True, slots=True)
class ClusterLoad:
    """A cluster by name and the path that leads to it; `name` labels every figure."""

    name: str
    path: str


DEFAULT_CLUSTERS: Final = tuple(
    ClusterLoad(name, f"/{name}") for name in (CLUSTER_MICRO, CLUSTER_LARGE)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. Raises PlanError when it cannot be run as asked.

    rate_per_s: arrivals a second for each cluster (ignored by `thousand`)
    concurrency: requests at once (`thousand`), each virtual user on a connection of its own
    requests: requests for each cluster (`thousand`)
    users: virtual users for each cluster, i.e. the most requests in flight (arrival-rate
        scenarios); None: enough for half a second of arrivals
    fresh_connections: a new connection for every request
    p95_limit_ms, p99_limit_ms: further thresholds; None: not asked
    error_limit: the highest share of failed requests, 0..1, that passes
    """

    target: str
    scenario: Scenario = Scenario.THOUSAND
    clusters: tuple[ClusterLoad, ...] = DEFAULT_CLUSTERS
    rate_per_s: float = DEFAULT_RATE
    duration_s: float | None = None
    concurrency: int = 64
    requests: int = THOUSAND_REQUESTS
    users: int | None = None
    fresh_connections: bool = False
    timeout_s: float = 10.0
    error_limit: float = 0.0
    p95_limit_ms: float | None = None
    p99_limit_ms: float | None = None
    tags: tuple[tuple[str, str], ...] = field(default=())  # free words kept with the results

    def __post_init__(self) -> None:
        if problems := list(_problems(self)):
            raise PlanError("\n".join(problems))

    @property
    def load_s(self) -> float:
        """Seconds the load lasts; for `thousand` the longest that it may."""
        if self.scenario.closed_loop:
            return THOUSAND_LIMIT_S
        return self.duration_s or DEFAULT_DURATION_S[self.scenario.value]

    @property
    def planned_per_cluster(self) -> int:
        """Requests that one cluster will be sent."""
        if self.scenario.closed_loop:
            return self.requests
        return round(
            sum(
                duration_s * (before + after) / 2 for before, after, duration_s in rate_stages(self)
            )
        )

    @property
    def passes(self) -> tuple[tuple[ClusterLoad, ...], ...]:
        """The clusters loaded together, one k6 process for each group.

        `thousand` takes one cluster after the other, so that neither is slowed by the other's load;
        rates load all of them at once, as a day's traffic does.
        """
        if self.scenario.closed_loop:
            return tuple((cluster,) for cluster in self.clusters)
        return (self.clusters,)

    @property
    def users_per_cluster(self) -> int:
        """Virtual users that k6 prepares before the load starts."""
        if self.scenario.closed_loop:
            return min(self.concurrency, self.requests)
        if self.users is not None:
            return self.users
        return int(min(max(self.rate_per_s / 2, 50), 500))

    def url(self, cluster: ClusterLoad) -> str:
        return self.target.rstrip("/") + cluster.path


def _problems(plan: Plan) -> list[str]:
    parts = urlsplit(plan.target)
    names = [cluster.name for cluster in plan.clusters]
    wrong = {
        f"target {plan.target!r}: expected http://host[:port] or https://host[:port]": (
            parts.scheme not in ("http", "https") or not parts.hostname
        ),
        "clusters: at least one is needed": not names,
        "clusters: names must differ": len(set(names)) != len(names),
        "clusters: a name is made of letters, digits, '-' and '_'": any(
            not name.replace("-", "").replace("_", "").isalnum() or not name.isascii()
            for name in names
        ),
        "path: must start with '/'": any(not c.path.startswith("/") for c in plan.clusters),
        "rate: must be above 0 requests a second": plan.rate_per_s <= 0,
        "duration: must be at least 1 second": plan.duration_s is not None and plan.duration_s < 1,
        "concurrency: must be at least 1": plan.concurrency < 1,
        "requests: must be at least 1": plan.requests < 1,
        "vus: must be at least 1": plan.users is not None and plan.users < 1,
        "timeout: must be above 0 seconds": plan.timeout_s <= 0,
        "error limit: must lie in 0..1": not 0 <= plan.error_limit <= 1,
    }
    found = [text for text, is_wrong in wrong.items() if is_wrong]
    if found:
        return found
    together = max(len(group) for group in plan.passes)
    if plan.users_per_cluster * together > MOST_CONNECTIONS:
        found.append(f"at most {MOST_CONNECTIONS} connections at once: lower concurrency or vus")
    if plan.planned_per_cluster * len(names) > MOST_REQUESTS:
        found.append(f"at most {MOST_REQUESTS:,} requests a run: lower the rate or the duration")
    return found


def rate_stages(plan: Plan) -> tuple[tuple[float, float, float], ...]:
    """(rate at the start, rate at the end, seconds) of every leg of an arrival-rate scenario."""
    rate, whole_s = plan.rate_per_s, plan.load_s
    low = rate / 10
    match plan.scenario:
        case Scenario.RAMP:
            return ((low, rate, whole_s * 0.8), (rate, rate, whole_s * 0.2))
        case Scenario.SPIKE:
            edge_s = whole_s * 0.02
            calm_s = whole_s * 0.38
            return (
                (low, low, calm_s),
                (low, rate, edge_s),
                (rate, rate, whole_s * 0.2),
                (rate, low, edge_s),
                (low, low, calm_s),
            )
        case _:
            return ((rate, rate, whole_s),)


def k6_options(plan: Plan, group: tuple[ClusterLoad, ...]) -> dict[str, Any]:
    """k6's `options` for one pass, in k6's own shape (its documentation, "Options reference")."""
    thresholds: dict[str, list[str]] = {}
    for cluster in group:
        scenario = f"scenario:{cluster.name}"
        latency = [
            f"p({percent})<{limit:g}"
            for percent, limit in ((95, plan.p95_limit_ms), (99, plan.p99_limit_ms))
            if limit is not None
        ]
        thresholds |= {
            f"checks{{{scenario}}}": [f"rate>={1 - plan.error_limit:g}"],
            f"http_req_failed{{{scenario}}}": [f"rate<={plan.error_limit:g}"],
            # Named even without a limit: k6 then keeps these figures of each cluster apart.
            f"http_req_duration{{{scenario},expected_response:true}}": latency,
        }
    return {
        "scenarios": {c.name: _executor(plan) | {"env": {"URL": plan.url(c)}} for c in group},
        "thresholds": thresholds,
        "systemTags": list(SYSTEM_TAGS),
        "summaryTrendStats": list(TREND_STATS),
        "noConnectionReuse": plan.fresh_connections,
        "setupTimeout": "10s",
    }


def _executor(plan: Plan) -> dict[str, Any]:
    users = plan.users_per_cluster
    common = {"gracefulStop": _seconds(DRAIN_S)}
    if plan.scenario.closed_loop:
        limit = {"vus": users, "maxDuration": _seconds(plan.load_s)}
        if plan.requests == users:  # one request each: really all at once
            return common | limit | {"executor": "per-vu-iterations", "iterations": 1}
        return common | limit | {"executor": "shared-iterations", "iterations": plan.requests}
    # Rates are whole numbers to k6: counted a minute, so that small ones keep their fractions.
    stages = rate_stages(plan)
    arrivals = {"timeUnit": "1m", "preAllocatedVUs": users, "maxVUs": users}
    if len(stages) == 1:
        return (
            common
            | arrivals
            | {
                "executor": "constant-arrival-rate",
                "rate": round(stages[0][0] * 60),
                "duration": _seconds(stages[0][2]),
            }
        )
    return (
        common
        | arrivals
        | {
            "executor": "ramping-arrival-rate",
            "startRate": round(stages[0][0] * 60),
            "stages": [
                {"target": round(after * 60), "duration": _seconds(duration_s)}
                for _, after, duration_s in stages
            ],
        }
    )


def _seconds(value_s: float) -> str:
    return f"{value_s * 1000:.0f}ms"
