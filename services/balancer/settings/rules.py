"""What a single value may be, by dataclass and field. Each rule says what is wrong, or None."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any, Final

from services.balancer import address
from services.balancer.config import MAX_WEIGHT
from services.balancer.settings.document import Document
from services.balancer.settings.problems import Path
from services.balancer.settings.schema import leaves

Rule = Callable[[Any], str | None]

MAX_PROCESSES: Final = 64
MAX_DURATION_S: Final = 86_400.0
_CLUSTER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_PATH: Final = re.compile(r"/[!-~]*")
_METRICS: Final = re.compile(r"[A-Za-z0-9._/#:-]{1,255}")
_REGION: Final = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]+")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2


def _number(value: Any) -> float | None:
    """The value as the schema reads it; None for what the schema refuses by itself."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def between(low: float, high: float, unit: str = "") -> Rule:
    """A number from `low` to `high`, both included."""

    def rule(value: Any) -> str | None:
        number = _number(value)
        if number is None or low <= number <= high:
            return None
        return f"must be {low:g} to {high:g}{unit}, is {value}"

    return rule


def duration(value: Any) -> str | None:
    """More than 0 s and at most a day."""
    number = _number(value)
    if number is None or 0 < number <= MAX_DURATION_S:
        return None
    return f"must be more than 0 and at most {MAX_DURATION_S:g} s, is {value}"


def socket_address(value: Any) -> str | None:
    """Where to listen; port 0 lets the system choose."""
    try:
        host, _ = address.split(str(value))
    except ValueError as error:
        return f"{value!r}: {error}"
    if not host or address.is_ip(host) or address.is_name(host):
        return None
    return f"{value!r}: {host!r} is neither an IP address nor a host name"


def peer_address(value: Any) -> str | None:
    """Where other balancers tell: an IP address or none, and a port that they can know."""
    if not value:
        return None
    try:
        host, port = address.split(str(value))
    except ValueError as error:
        return f"{value!r}: {error}"
    if host and not address.is_ip(host):
        return f"{value!r}: {host!r} is not an IP address; 0.0.0.0 is every address"
    return None if port else f"{value!r}: the others must know the port; ports go from 1 to 65535"


def target_address(value: Any) -> str | None:
    """A static target."""
    try:
        address.parse_target(str(value))
    except ValueError as error:
        return f"{value!r}: {error}"
    return None


def network(value: Any) -> str | None:
    """An IP network, or one address."""
    try:
        ip_network(value)
    except ValueError:
        try:
            return f"{value!r} has host bits set; write {ip_network(value, strict=False)}"
        except ValueError:
            return f"{value!r} is not an IP network; write it as 10.0.0.0/8"
    return None


def protocol(value: Any) -> str | None:
    """A protocol's name in Upgrade; HTTP/2 in clear text would carry requests past the routes."""
    if not _TOKEN.fullmatch(str(value)):
        return f"{value!r} is not a protocol; websocket is one"
    if str(value).lower() == "h2c":
        return "h2c cannot be passed on: its requests would not be routed"
    return None


def host_name(value: Any) -> str | None:
    """A name for DNS."""
    return None if address.is_name(str(value)) else f"{value!r} is not a host name"


def region(value: Any) -> str | None:
    """An AWS region; a zone has a letter behind it."""
    if _REGION.fullmatch(str(value)):
        return None
    return f"{value!r} is not an AWS region; write it as eu-west-1"


def metrics_name(value: Any) -> str | None:
    """A namespace or the value of a dimension. Source: CloudWatch API, MetricDatum, Dimension."""
    if _METRICS.fullmatch(str(value)) and not str(value).startswith((":", "AWS/")):
        return None
    return f"{value!r} is no name for metrics; use letters, digits, '-', '_', '.', '/', at most 255"


def cluster_name(value: Any) -> str | None:
    """Part of target ids, metrics and URLs."""
    if _CLUSTER.fullmatch(str(value)):
        return None
    return f"{value!r} is not a cluster name; use letters, digits, '-', '_', '.', at most 63"


def path(value: Any) -> str | None:
    """The path of a health check or probe, query allowed."""
    if _PATH.fullmatch(str(value)):
        return None
    return f"{value!r} is not a path; it starts with '/' and has no spaces"


def route_path(value: Any) -> str | None:
    """The path of a route: no query."""
    if wrong := path(value):
        return wrong
    if "?" in value or "#" in value:
        return f"{value!r}: a route matches the path alone, without '?' or '#'"
    return None


def route_host(value: Any) -> str | None:
    """`example.com` or `*.example.com`."""
    if address.is_name(str(value).removeprefix("*.")) or address.is_ip(str(value)):
        return None
    return f"{value!r} is not a host name; write example.com or *.example.com, without a port"


def route_headers(value: Any) -> str | None:
    """Field names are tokens; values have no control characters."""
    if not isinstance(value, dict):
        return None
    for name, content in value.items():
        if not _TOKEN.fullmatch(str(name)):
            return f"{name!r} is not a header name"
        if isinstance(content, str) and not content.isprintable():
            return f"the value of header {name!r} has control characters"
    return None


def not_empty(value: Any) -> str | None:
    """Text or a mapping with something in it."""
    return None if value else "must not be empty"


_PORT: Final = between(1, 65_535)
_BIG: Final = 1 << 30

RULES: Final[dict[tuple[str, str], Rule]] = {
    ("Config", "listen"): socket_address,
    ("Config", "admin"): socket_address,
    ("Config", "processes"): between(1, MAX_PROCESSES),
    ("Config", "trusted_proxies"): network,
    ("Config", "upgrades"): protocol,
    ("ClusterConfig", "name"): cluster_name,
    ("ClusterConfig", "max_pending"): between(1, 1_000_000),
    ("ClusterConfig", "drain_s"): between(0, MAX_DURATION_S, " s"),
    ("ClusterConfig", "max_pending_total"): between(0, 100_000_000),
    ("ClusterConfig", "subset"): between(0, 1_000_000),
    ("Balancers", "count"): between(1, 10_000),
    ("Balancers", "index"): between(0, 9_999),
    ("Balancers", "listen"): peer_address,
    ("SlowStart", "window_s"): between(0, 3_600, " s"),
    ("SlowStart", "min_percent"): between(0, 100, " %"),
    ("SlowStart", "aggression"): between(0.1, 10),
    ("Queue", "size"): between(0, 1_000_000),
    ("ClusterConfig", "panic_percent"): between(0, 100, " %"),
    ("Ejection", "consecutive_failures"): between(0, 1_000_000),
    ("Ejection", "failure_percent"): between(0, 100, " %"),
    ("Ejection", "failure_percent_requests"): between(1, 1_000_000),
    ("Ejection", "success_rate_sigmas"): between(0, 100),
    ("Ejection", "success_rate_requests"): between(1, 1_000_000),
    ("Ejection", "min_targets"): between(1, 10_000),
    ("Ejection", "max_percent"): between(0, 100, " %"),
    ("Retry", "budget_percent"): between(0, 100, " %"),
    ("Retry", "budget_per_s"): between(0, 1_000_000, " a second"),
    ("TargetSource", "static"): target_address,
    ("TargetSource", "weight"): between(1, MAX_WEIGHT),
    ("DnsSource", "name"): host_name,
    ("DnsSource", "port"): _PORT,
    ("DockerSource", "port"): _PORT,
    ("DockerSource", "labels"): not_empty,
    ("Ec2Source", "port"): _PORT,
    ("Ec2Source", "region"): region,
    ("Ec2Source", "group"): not_empty,
    ("FileSource", "path"): not_empty,
    ("HealthCheck", "path"): path,
    ("HealthCheck", "rise"): between(1, 100),
    ("HealthCheck", "fall"): between(1, 100),
    ("Probe", "path"): path,
    ("RouteConfig", "path"): route_path,
    ("RouteConfig", "host"): route_host,
    ("RouteConfig", "headers"): route_headers,
    ("RouteConfig", "cluster"): not_empty,
    ("Respond", "status"): between(200, 599),
    ("Timeouts", "linger_s"): between(0, 60, " s"),
    ("Timeouts", "drain_s"): between(0, MAX_DURATION_S, " s"),
    ("CloudWatch", "region"): region,
    ("CloudWatch", "namespace"): metrics_name,
    ("CloudWatch", "deployment"): metrics_name,
    ("CloudWatch", "interval_s"): between(1, 3_600, " s"),
    ("AccessLog", "path"): not_empty,
    ("AccessLog", "buffer_bytes"): between(65_536, _BIG),
    ("Limits", "head_bytes"): between(1_024, 1 << 20),
    ("Limits", "header_count"): between(8, 10_000),
    ("Limits", "target_bytes"): between(64, 1 << 20),
    ("Limits", "connections"): between(1, _BIG),
    ("Limits", "connections_per_address"): between(1, _BIG),
    ("Limits", "buffer_bytes"): between(4_096, _BIG),
    ("Limits", "idle_per_target"): between(0, 65_536),
    ("Limits", "tunnels"): between(0, _BIG),
}


def rule_for(kind: str, name: str) -> Rule | None:
    """The rule of a field; every `..._s` without one of its own is a duration."""
    return RULES.get((kind, name)) or (duration if name.endswith("_s") else None)


def check(document: Document) -> None:
    """Report every value that breaks its rule, whether or not the rest fits the schema."""
    for kind, name, place, value in leaves(document.data):
        rule = rule_for(kind, name)
        wrong = rule(value) if rule and not isinstance(value, list) else None
        if wrong:
            _report(document, place, wrong)


def _report(document: Document, place: Path, wrong: str) -> None:
    message, _, suggestion = wrong.partition("; ")
    document.report(place, message, suggestion)
