"""What values must be to each other.

Works on raw data, so that it speaks up beside other mistakes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from services.balancer import address
from services.balancer.config import Balancers, Config, Limits, PolicySpec, TargetSource, Timeouts
from services.balancer.ledger import CLUSTERS, SLOTS
from services.balancer.pick import problems as policy_problems
from services.balancer.settings.document import Document
from services.balancer.settings.problems import Path, nearest


def check(document: Document) -> None:
    """Report every contradiction."""
    data = document.data
    _sockets(document, data)
    _sections(document, data)
    names = _clusters(document, data)
    _routes(document, data, names)


def _mappings(data: dict[str, Any], key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
    items = data.get(key)
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield (key, index), item


def _sockets(document: Document, data: dict[str, Any]) -> None:
    try:
        ends = [address.split(str(data.get(key) or getattr(Config(), key))) for key in _LISTENERS]
    except ValueError:
        return  # a rule reports it
    (host, port), (admin_host, admin_port) = ends
    anywhere = {"", "0.0.0.0", "::"}  # noqa: S104 - compared with, not bound
    if port == admin_port != 0 and (host == admin_host or anywhere & {host, admin_host}):
        document.report(("admin",), f"overlaps with listen: both use port {port}")


_LISTENERS = ("listen", "admin")


def _number(section: Any, default: Any, key: str) -> float | None:
    value = section.get(key) if isinstance(section, dict) else None
    try:
        return float(getattr(default, key) if value is None else value)
    except (TypeError, ValueError):
        return None


def _sections(document: Document, data: dict[str, Any]) -> None:
    for section, default, low, high, why in (
        ("timeouts", Timeouts(), "linger_s", "drain_s", "a drain includes the lingering"),
        ("limits", Limits(), "target_bytes", "head_bytes", "the request target is in the head"),
    ):
        small = _number(data.get(section), default, low)
        large = _number(data.get(section), default, high)
        if small is not None and large is not None and small > large:
            message = f"is {small:g}, more than {high} ({large:g}): {why}"
            document.report((section, low), message, f"lower it or raise {high}")
    balancers = data.get("balancers")
    count, index = (_number(balancers, Balancers(), key) for key in ("count", "index"))
    if count is not None and index is not None and index >= count >= 1:
        message = f"is {index:g}, and of {count:g} balancers the last is {count - 1:g}"
        document.report(("balancers", "index"), message, "the first is 0")
    if isinstance(balancers, dict):
        _peers(document, balancers)


def _peers(document: Document, balancers: dict[str, Any]) -> None:
    listen, peers = balancers.get("listen"), balancers.get("peers")
    if peers and not listen:
        message = "needs listen beside it: who tells is told, too"
        document.report(("balancers", "peers"), message, "add `listen: 0.0.0.0:9901`")
    elif listen and not peers:
        message = "needs peers beside it: only from them is anything heard"
        document.report(("balancers", "listen"), message, "add `peers: [{static: [HOST:PORT]}]`")
    _sources(document, ("balancers",), balancers, "peers")


def _clusters(document: Document, data: dict[str, Any]) -> list[str]:
    """Checks each cluster; returns their names."""
    names: dict[str, Path] = {}
    count = 0
    for path, cluster in _mappings(data, "clusters"):
        name = cluster.get("name")
        if isinstance(name, str):
            if name in names:
                line = document.spot(names[name]).line
                message = f"a cluster named {name!r} is there already"
                document.report((*path, "name"), message, f"the first is on line {line}")
            names.setdefault(name, (*path, "name"))
        count += _targets(document, path, cluster)
        policy = cluster.get("policy")
        if isinstance(policy, dict) and isinstance(policy.get("name"), str):
            _policy(document, (*path, "policy"), policy)
    if count > SLOTS:
        document.report(("clusters",), f"{count} static targets; at most {SLOTS} fit")
    if len(names) > CLUSTERS:
        document.report(("clusters",), f"{len(names)} clusters; at most {CLUSTERS} fit")
    return list(names)


def _policy(document: Document, path: Path, policy: dict[str, Any]) -> None:
    spec = PolicySpec(name=str(policy["name"]), params=policy.get("params") or {})
    for wrong in policy_problems(spec):
        message, _, suggestion = wrong.partition("; ")
        named = next((key for key in spec.params if repr(key) in message), None)
        document.report((*path, "params", named) if named else path, message, suggestion)


def _targets(document: Document, path: Path, cluster: dict[str, Any]) -> int:
    if cluster.get("targets") == []:
        document.report((*path, "targets"), "a cluster needs at least one source of targets")
    return _sources(document, path, cluster, "targets")


def _sources(document: Document, path: Path, section: dict[str, Any], key: str) -> int:
    """Checks each source of a list; returns how many static addresses there are."""
    seen: dict[str, Path] = {}
    kinds = [f.name for f in dataclasses.fields(TargetSource) if f.name != "weight"]
    for inner, source in _mappings(section, key):
        here = (*path, *inner)
        given = [kind for kind in kinds if kind in source]
        if len(given) != 1:
            found = f"has {' and '.join(given)}" if given else "has none"
            document.report(here, f"needs exactly one of {', '.join(kinds)}; {found}")
        _ec2(document, (*here, "ec2"), source.get("ec2"))
        static = source.get("static")
        for index, text in enumerate(static if isinstance(static, list) else ()):
            place = (*here, "static", index)
            if str(text) in seen:
                line = document.spot(seen[str(text)]).line
                document.report(place, f"{str(text)!r} is listed twice", f"also on line {line}")
            seen.setdefault(str(text), place)
    return len(seen)


def _ec2(document: Document, path: Path, ec2: Any) -> None:
    if isinstance(ec2, dict) and not ec2.get("tags") and not ec2.get("group"):
        document.report(path, "needs tags, a group or both", "every instance would be a target")


def _routes(document: Document, data: dict[str, Any], names: list[str]) -> None:
    if not data.get("routes"):
        message = "no routes: every request would be answered with 404"
        document.report(("routes",), message, "add `routes: [{path: /, cluster: NAME}]`")
    seen: dict[tuple[Any, ...], Path] = {}
    for path, route in _mappings(data, "routes"):
        given = [key for key in ("cluster", "respond") if route.get(key) is not None]
        if len(given) != 1:
            found = "has both" if given else "has neither"
            document.report(path, f"needs exactly one of cluster and respond; {found}")
        cluster = route.get("cluster")
        if isinstance(cluster, str) and cluster and cluster not in names:
            hint = nearest(cluster, names) if names else "no cluster has a name"
            document.report((*path, "cluster"), f"there is no cluster {str(cluster)!r}", hint)
        headers = route.get("headers")
        match = (
            str(route.get("host") or "").lower(),
            str(route.get("path") or "/"),
            str(route.get("exact") or "").lower() in ("true", "yes", "on", "1", "t", "y"),
            tuple(sorted((k.lower(), str(v)) for k, v in headers.items()))
            if isinstance(headers, dict)
            else (),
        )
        if match in seen:
            line = document.spot(seen[match]).line
            document.report(path, f"matches what the route on line {line} matches", "remove one")
        seen.setdefault(match, path)
