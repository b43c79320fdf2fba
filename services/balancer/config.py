"""The balancer's configuration as frozen data: what `settings` validates and every process reads.

Standard library only, so that a data-plane process reads it without the validator. Every default
is here and nowhere else. Durations are seconds, sizes are bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

MAX_WEIGHT: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySpec:
    """A policy by name with its parameters: `policy: p2c` or `policy: {name: p2c, ...}`.

    A name `module:Class` is a user's own: `policy: {module: my_policy:Mine, ...}`.
    """

    name: str = "steelyard"
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsSource:
    """Every address that a name resolves to is a target."""

    name: str
    port: int
    interval_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSource:
    """A YAML list of addresses, watched for changes; a relative path starts at the config file."""

    path: str
    interval_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerSource:
    """Running containers that carry all the labels. Needs the Docker socket: root-equivalent."""

    labels: dict[str, str]
    port: int
    network: str | None = None
    interval_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ec2Source:
    """Running instances with all the tags, or of an Auto Scaling group; one of them at least.

    `region` is the file's, else AWS_REGION's.
    """

    port: int
    region: str
    tags: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    address: Literal["private", "public"] = "private"
    interval_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSource:
    """One entry of a cluster's `targets:` list; exactly one kind of source is set."""

    static: tuple[str, ...] | None = None
    file: FileSource | None = None
    dns: DnsSource | None = None
    docker: DockerSource | None = None
    ec2: Ec2Source | None = None
    weight: int = 1  # of each of its targets


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck:
    """Active checks: `fall` failures in a row make a target unhealthy, `rise` successes healthy."""

    path: str = "/readyz"
    interval_s: float = 2.0
    timeout_s: float = 1.0
    rise: int = 1
    fall: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Small requests whose answer is a load report; they feed `fastest` and the scoreboard."""

    path: str = "/load"
    interval_s: float = 1.0
    timeout_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ejection:
    """Who fails real requests is out for a while. The defaults are Envoy's outlier detection's."""

    consecutive_failures: int = 5  # 0: this rule is off
    interval_s: float = 10.0  # the two rules below look back this far
    failure_percent: float = 85.0  # of a target's requests; 0: off
    failure_percent_requests: int = 50  # fewer in an interval say nothing
    success_rate_sigmas: float = 1.9  # below the mean of the targets; 0: off
    success_rate_requests: int = 100
    min_targets: int = 5  # with that many requests, for either of the two rules
    base_s: float = 30.0  # out for this x how often it was
    max_s: float = 300.0
    max_percent: float = 10.0  # of the targets out at once, though one always may be; 0: never any


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """When a request that may be repeated goes to another target, and how many may."""

    try_s: float = 15.0  # without a response head, if another target may be tried instead
    budget_percent: float = 20.0  # of the cluster's requests in the window ...
    budget_per_s: float = 3.0  # ... and so many a second besides, shared by the processes
    budget_window_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowStart:
    """Targets that are new or return get less at first. Envoy's slow start; off as there."""

    window_s: float = 0.0  # 0: off
    min_percent: float = 10.0  # of its share at least
    aggression: float = 1.0  # 1: the share rises evenly; more: faster at first


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Requests that wait because every target, or the cluster, is full; per process."""

    size: int = 256  # 0: none waits
    wait_s: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterConfig:
    """A named set of targets that serve the same routes."""

    name: str
    targets: tuple[TargetSource, ...]
    policy: PolicySpec = PolicySpec()
    health: HealthCheck = HealthCheck()
    probe: Probe = Probe()
    max_pending: int = 1024  # per target, over all data-plane processes
    drain_s: float = 300.0  # what a drained target has pending then is ended; ALB's delay
    max_pending_total: int = 0  # of all its targets together; 0: no limit
    queue: Queue = Queue()
    panic_percent: float = 50.0  # of the targets eligible; below it all are used. 0: never. Envoy's
    ejection: Ejection = Ejection()
    retry: Retry = Retry()
    slow_start: SlowStart = SlowStart()
    subset: int = 0  # of each source's targets, when there are several balancers; 0: all


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancers:
    """How many balancers share the targets, and which of them this one is; see `subset`.

    Those of `peers`, which may have this one among them, tell each other what they have pending.
    """

    count: int = 1
    index: int = 0  # from 0
    listen: str = ""  # UDP, where the others tell what they have pending; empty: they do not
    peers: tuple[TargetSource, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """A route's own answer, sent without asking any target."""

    status: int = 200
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteConfig:
    """A match that leads to a cluster or to an answer. The most specific match wins.

    `path` matches whole path segments from the start (`/a` matches `/a` and `/a/b`, not `/ab`),
    or, with `exact`, the path alone. `host` is a host name, or `*.example.com` for its children.
    """

    path: str = "/"
    exact: bool = False
    host: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cluster: str | None = None
    respond: Respond | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long each stage of a request may take."""

    head_s: float = 10.0  # from the first byte of a request head to its last
    body_idle_s: float = 30.0  # between two pieces of a body, either way
    connect_s: float = 2.0  # to open a connection to a target
    request_s: float = 3_600.0  # a whole request, retries included; tunnels have their own limits
    response_head_s: float = 60.0  # from a request's arrival to the response head, retries included
    keep_alive_s: float = 60.0  # an idle client connection
    target_keep_alive_s: float = 4.0  # an idle pooled one; below uvicorn's own 5 s
    tunnel_idle_s: float = 300.0  # between two pieces in a tunnel, whichever way
    tunnel_total_s: float = 86_400.0  # from the switch of protocols to the end
    linger_s: float = 2.0  # to let a client read the last answer before a close
    drain_s: float = 20.0  # for pending requests when a process stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one process holds at most, whatever a client or a target sends."""

    head_bytes: int = 32_768
    header_count: int = 100
    target_bytes: int = 8_192  # the request target (URI)
    connections: int = 16_384  # clients, per process
    connections_per_address: int = 16_384  # of clients, per process; IPv6: per /64
    buffer_bytes: int = 65_536  # unread bytes per direction before reading pauses
    idle_per_target: int = 256  # pooled connections, per process
    tunnels: int = 4_096  # open at once, per process; their clients count as connections, too


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """One JSON line a request, to a file (opened anew at a reload) or, by `-`, standard output."""

    path: str
    buffer_bytes: int = 1_048_576  # of lines that wait to be written, per process


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudWatch:
    """Metrics to CloudWatch by cluster and, for `lowest_cpu`, machines' CPU from there.

    `region` is the file's, else AWS_REGION's; `deployment` is the value of a dimension.
    """

    deployment: str
    region: str
    namespace: str = "Steelyard"
    interval_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    listen: str = "127.0.0.1:8000"
    admin: str = "127.0.0.1:9900"
    processes: int = 1  # `auto` in the file becomes the number of CPUs
    clusters: tuple[ClusterConfig, ...] = ()
    routes: tuple[RouteConfig, ...] = ()
    timeouts: Timeouts = Timeouts()
    limits: Limits = Limits()
    upgrades: tuple[str, ...] = ("websocket",)  # protocols that a client may switch to
    abort_on_close: bool = False  # a client that ends its half no longer waits for an answer
    trusted_proxies: tuple[str, ...] = ()  # networks whose forwarding headers are believed
    balancers: Balancers = Balancers()
    access_log: AccessLog | None = None  # off
    cloudwatch: CloudWatch | None = None  # off
