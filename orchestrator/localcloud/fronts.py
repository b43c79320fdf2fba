"""Load balancers that answer: a container with a proxy each, told anew when targets change.

Its address is the load balancer's name. Without a proxy (in tests) they stay moto's.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol
from unittest.mock import patch

import docker
from docker.errors import NotFound
from moto.elbv2.models import FakeLoadBalancer

from orchestrator.engine import translated
from orchestrator.localcloud.containers import LABEL, OWNER, Network, archive
from orchestrator.localcloud.front_config import configuration
from orchestrator.localcloud.targets import checks_of
from orchestrator.localcloud.world import Step, World

_FILE: Final = "/etc/haproxy/steelyard.cfg"
_STOP_S: Final = 1


class Proxies(Protocol):
    """The containers that stand in for load balancers; safe from any thread."""

    def start(self, name: str, config: str) -> str:
        """A proxy; its address. Raises EngineError."""

    def reload(self, name: str, config: str) -> None:
        """For new connections; those that are open go on as they are. Raises EngineError."""

    def end(self, name: str) -> None:
        """Gone already is fine. Raises EngineError."""


class ProxyContainers:
    """`Proxies` on a Docker engine: HAProxy from the machines' image."""

    def __init__(self, engine: docker.DockerClient, image: str, network: Network) -> None:
        self._engine, self._image, self._network = engine, image, network

    def start(self, name: str, config: str) -> str:
        with translated(f"starting {name}"):
            container = self._engine.containers.create(
                self._image,
                ["haproxy", "-W", "-db", "-f", _FILE],
                name=self._named(name),
                labels={LABEL: "front", OWNER: self._network.name},
                network=self._network.name,
                stop_signal="SIGTERM",
            )
            container.put_archive("/", archive({_FILE: config}))
            container.start()
            container.reload()
        settings: dict[str, Any] = container.attrs["NetworkSettings"]
        return str(settings["Networks"][self._network.name]["IPAddress"])

    def reload(self, name: str, config: str) -> None:
        with translated(f"telling {name}"):
            container = self._engine.containers.get(self._named(name))
            container.put_archive("/", archive({_FILE: config}))
            container.kill(signal.SIGUSR2)

    def end(self, name: str) -> None:
        with translated(f"ending {name}"), suppress(NotFound):
            container = self._engine.containers.get(self._named(name))
            container.stop(timeout=_STOP_S)
            container.remove(force=True, v=True)

    def _named(self, name: str) -> str:
        return f"{self._network.name}-front-{name}"


@dataclass(slots=True)
class _Front:
    name: str
    config: str
    under_way: Future[Any] | None
    address: str | None = None


def fronts(proxies: Proxies) -> Step:
    """The step that keeps a proxy for each load balancer that has a listener."""
    known: dict[str, _Front] = {}

    def run_fronts(world: World) -> None:
        backend = world.backend("elbv2")
        for arn in [arn for arn in known if arn not in backend.load_balancers]:
            world.pool.submit(proxies.end, known.pop(arn).name)
        for arn, balancer in backend.load_balancers.items():
            front = known.get(arn)
            if front is None and not balancer.listeners:
                continue  # a proxy that listens nowhere ends at once
            if front is not None and not _settled(world, front, balancer):
                continue
            try:
                config = configuration(balancer, backend.target_groups, _servers(world))
            except ValueError as error:
                world.report(f"{balancer.name}: {error}")
                continue
            if front is None:
                started = world.pool.submit(proxies.start, balancer.name, config)
                known[arn] = _Front(balancer.name, config, started)
            elif config != front.config:
                front.config = config
                front.under_way = world.pool.submit(proxies.reload, front.name, config)

    return run_fronts


def _settled(world: World, front: _Front, balancer: Any) -> bool:
    """Nothing is under way; what just ended is taken note of."""
    if front.under_way is None:
        return True
    if not front.under_way.done():
        return False
    ended, front.under_way = front.under_way, None
    failure = ended.exception()
    if failure is not None:
        world.report(f"{front.name}: {failure}")
    elif front.address is None:
        front.address = ended.result()
        balancer.dns_name, balancer.state = front.address, "active"
    return True


def _servers(world: World) -> Mapping[str, list[tuple[str, str, int]]]:
    """Healthy targets; where a group has none, all that are registered, as on AWS."""
    addresses = {
        one.id: one.private_ip_address for one in world.backend("ec2").all_running_instances()
    }
    found = {}
    for arn, target_group in world.backend("elbv2").target_groups.items():
        checks = checks_of(target_group)
        here = {k: c for k, c in checks.items() if k in target_group.targets}
        healthy = {k: c for k, c in here.items() if c.state == "healthy"} or here
        found[arn] = [
            (ident, addresses.get(ident, ident), check.port)
            for ident, check in sorted(healthy.items())
            if ident in addresses or not ident.startswith("i-")
        ]
    return found


@contextmanager
def active_when_answering() -> Iterator[None]:
    """While this lasts, load balancers stay `provisioning` until their proxy runs."""
    nothing: Callable[[Any], None] = lambda _balancer: None  # noqa: E731 - a method's stand-in
    with patch.object(FakeLoadBalancer, "activate", nothing):
        yield
