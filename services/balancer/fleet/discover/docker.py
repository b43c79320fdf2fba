"""Running containers that carry given labels. Needs the Docker socket, which is root-equivalent.

The SDK is imported when the first docker source looks, in a thread, so that nobody else pays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from services.balancer.address import Address, is_ip
from services.balancer.config import DockerSource
from services.balancer.fleet.discover.source import DiscoveryError, Found

TIMEOUT_S: Final = 5.0

# The networks of each running container: name -> what `docker inspect` says of it.
Networks = Mapping[str, Mapping[str, Any]]
List = Callable[[Mapping[str, str]], Iterable[tuple[str, Networks]]]


class _Engine:
    """The Docker engine that the environment names (DOCKER_HOST, else the local socket)."""

    def __init__(self) -> None:
        self._client: Any = None

    def __call__(self, labels: Mapping[str, str]) -> list[tuple[str, Networks]]:
        try:
            import docker  # noqa: PLC0415 - an optional extra, paid for only by who uses it
            from docker.errors import DockerException  # noqa: PLC0415 - the same
        except ImportError as error:
            raise DiscoveryError(
                "the Docker SDK is missing: install steelyard[balancer-docker]"
            ) from error
        try:
            if self._client is None:
                self._client = docker.DockerClient.from_env(timeout=int(TIMEOUT_S))
            found = self._client.api.containers(
                filters={"label": [f"{k}={v}" for k, v in labels.items()], "status": ["running"]}
            )
        except (DockerException, OSError) as error:  # OSError: requests' own errors
            raise DiscoveryError(f"docker: {' '.join(str(error).split())}") from error
        return [(item["Id"][:12], item["NetworkSettings"]["Networks"]) for item in found]


class Docker:
    """`network` chooses among a container's networks; without it there must be only one."""

    def __init__(self, config: DockerSource, list_containers: List | None = None) -> None:
        labels = ",".join(f"{key}={value}" for key, value in sorted(config.labels.items()))
        self.name = f"docker {labels}:{config.port}"
        self.interval_s = config.interval_s
        self._config = config
        self._list = list_containers or _Engine()

    async def look(self) -> Found:
        """The containers now. One without a usable address is left out, and noted."""
        containers = await asyncio.to_thread(lambda: list(self._list(self._config.labels)))
        addresses: set[Address] = set()
        notes: list[str] = []
        for name, networks in containers:
            try:
                addresses.add(Address(self._host(networks), self._config.port))
            except ValueError as error:
                notes.append(f"container {name}: {error}")
        return Found(frozenset(addresses), note="; ".join(notes) or None)

    def _host(self, networks: Networks) -> str:
        wanted = self._config.network
        if wanted is not None:
            if wanted not in networks:
                raise ValueError(f"is not on network {wanted}")
            chosen = networks[wanted]
        elif len(networks) == 1:
            chosen = next(iter(networks.values()))
        else:
            raise ValueError(f"is on {len(networks)} networks; name one with `network:`")
        host = str(chosen.get("IPAddress") or chosen.get("GlobalIPv6Address") or "")
        if not is_ip(host):
            raise ValueError("has no address yet")
        return host
