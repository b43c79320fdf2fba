"""STEELYARD_... variables laid over the file's data.

STEELYARD_LISTEN replaces `listen`, STEELYARD_TIMEOUTS__CONNECT_S `connect_s` of `timeouts`.

A variable replaces one value of the top level or of a section. Lists are comma-separated; those of
`balancers.peers` are one static source. Clusters and routes are no single values and stay in the
file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Final

from services.balancer.config import AccessLog, Balancers, CloudWatch, Config, Limits, Timeouts
from services.balancer.settings.document import Document, Scalar
from services.balancer.settings.problems import Path, Problem, Spot, nearest
from services.contract import ENV_PREFIX

# Read by the command line or set beside it; not values of the configuration.
NOT_SETTINGS: Final = frozenset({f"{ENV_PREFIX}CONFIG"})

_SECTIONS: Final = {
    "timeouts": Timeouts,
    "limits": Limits,
    "balancers": Balancers,
    "access_log": AccessLog,
    "cloudwatch": CloudWatch,
}
_LISTS: Final = frozenset({"trusted_proxies", "upgrades"})
_STATIC: Final[Path] = ("balancers", "peers")
_FILE_ONLY: Final = frozenset({"clusters", "routes"})


def variables() -> dict[str, Path]:
    """Every variable there is, with the place of the value that it replaces."""
    found: dict[str, Path] = {}
    for item in dataclasses.fields(Config):
        if item.name in _SECTIONS:
            for inner in dataclasses.fields(_SECTIONS[item.name]):
                name = f"{ENV_PREFIX}{item.name}__{inner.name}".upper()
                found[name] = (item.name, inner.name)
        elif item.name not in _FILE_ONLY:
            found[f"{ENV_PREFIX}{item.name}".upper()] = (item.name,)
    return found


def overlay(document: Document, env: Mapping[str, str]) -> None:
    """Replace what `env` sets; an unknown variable is a problem, an empty one is not set."""
    known = variables()
    for name in sorted(env):
        if not name.startswith(ENV_PREFIX) or name in NOT_SETTINGS or not env[name]:
            continue
        spot = Spot(f"environment: {name}")
        path = known.get(name)
        if path is None:
            document.problems.append(Problem(spot, "", "unknown variable", nearest(name, known)))
        elif isinstance(document.data, dict):
            _set(document, path, env[name], spot)


def _set(document: Document, path: Path, text: str, spot: Spot) -> None:
    data = document.data
    for part in path[:-1]:
        inner = data.get(part)
        if inner is None:
            inner = data[part] = {}
        if not isinstance(inner, dict):
            return  # the section itself is wrong, and reported as such
        data = inner
    if path[-1] in _LISTS:
        data[path[-1]] = [Scalar(part.strip()) for part in text.split(",") if part.strip()]
        for index in range(len(data[path[-1]])):
            document.values[(*path, index)] = spot
    elif path == _STATIC:
        addresses = [Scalar(part.strip()) for part in text.split(",") if part.strip()]
        data[path[-1]] = [{"static": addresses}]
        document.values[(*path, 0)] = document.values[(*path, 0, "static")] = spot
        for index in range(len(addresses)):
            document.values[(*path, 0, "static", index)] = spot
    else:
        data[path[-1]] = Scalar(text)
    document.keys[path] = document.values[path] = spot
