"""From a request head to a route: host, then path, then headers; the most specific match wins.

Pure. A path matches on whole segments, byte for byte as the client sent it: nothing is decoded or
normalized here, because nothing is on its way to the target either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Generic, TypeVar

from services.balancer.config import RouteConfig

D = TypeVar("D")

_ANY_HOST: Final = b""
_HOST_BYTES: Final = 253  # a name that is longer is no DNS name (RFC 1035, 2.3.4)
_QUESTION_MARK: Final = 0x3F  # as a number: looking for bytes in bytes costs ten times as much


class Route(Generic[D]):
    """One route with what it leads to."""

    __slots__ = ("conditions", "destination", "exact", "path")

    def __init__(self, config: RouteConfig, destination: D) -> None:
        path = config.path if config.exact else config.path.rstrip("/")
        self.path = path.encode() or b"/"
        self.exact = config.exact
        self.conditions = tuple(_condition(*item) for item in config.headers.items())
        self.destination = destination

    def __repr__(self) -> str:
        return f"<Route {self.path.decode()}{' exact' if self.exact else ''}>"

    def admits(self, section: bytes) -> bool:
        """Whether a field section meets every header condition."""
        return all(condition.search(section) is not None for condition in self.conditions)


def _condition(name: str, value: str) -> re.Pattern[bytes]:
    """A whole field line: the name in any case, the value exactly."""
    line = rb"(?:\A|\n)(?i:%b):[ \t]*+%b[ \t]*+\r"
    return re.compile(line % (re.escape(name.encode()), re.escape(value.encode())))


class Router(Generic[D]):
    """All routes, indexed by host and by path; a look-up is O(segments of the path).

    Order of preference: an exact host, then the longest wildcard, then any host; within one host an
    exact path, then the longest prefix; within one path the most header conditions.
    """

    def __init__(self, routes: Iterable[tuple[RouteConfig, D]]) -> None:
        self._hosts: dict[bytes, dict[bytes, list[Route[D]]]] = {}
        for config, destination in routes:
            host = (config.host or "").lower().rstrip(".").encode()
            if b":" in host:
                host = b"[%b]" % host  # an IPv6 address, as a Host field writes it
            route = Route(config, destination)
            self._hosts.setdefault(host, {}).setdefault(route.path, []).append(route)
        for table in self._hosts.values():
            for candidates in table.values():
                candidates.sort(key=lambda r: (not r.exact, -len(r.conditions)))
        self._longest = max(
            (len(path) for table in self._hosts.values() for path in table), default=1
        )
        self._any_host = self._hosts.get(_ANY_HOST, {})
        self._by_host = any(self._hosts.keys() - {_ANY_HOST})

    def find(self, target: bytes, host: bytes | None, section: bytes) -> Route[D] | None:
        """The route of a request by its target, host and field section; None: no match."""
        path = target.partition(b"?")[0] if _QUESTION_MARK in target else target
        if self._by_host and host:
            for key in _host_keys(host):
                route = self._search(self._hosts.get(key), path, section)
                if route is not None:
                    return route
        table = self._any_host
        routes = table.get(path)  # a path that is a route's own, as most are
        if routes is not None and not routes[0].conditions:
            return routes[0]
        return self._search(table, path, section)

    def _search(
        self, table: Mapping[bytes, list[Route[D]]] | None, path: bytes, section: bytes
    ) -> Route[D] | None:
        if table is None:
            return None
        prefix = path
        if len(prefix) > self._longest:  # no route lies deeper: a path of slashes costs nothing
            prefix = prefix[: prefix.rfind(b"/", 0, self._longest + 1)] or b"/"
        while True:
            for route in table.get(prefix, ()):
                if route.exact and path != prefix:
                    continue
                if not route.conditions or route.admits(section):
                    return route
            if prefix == b"/" or not prefix:
                return None
            prefix = prefix[: prefix.rfind(b"/")] or b"/"


def _host_keys(host: bytes) -> Iterable[bytes]:
    """`a.b.c:80` -> `a.b.c`, `*.b.c`, `*.c`."""
    name = host.lower()
    if not name.endswith(b"]"):
        bare, colon, port = name.rpartition(b":")
        if colon and (port.isdigit() or not port):
            name = bare
    name = name.rstrip(b".")
    if len(name) > _HOST_BYTES:
        return
    yield name
    while b"." in name:
        name = name.partition(b".")[2]
        yield b"*." + name
