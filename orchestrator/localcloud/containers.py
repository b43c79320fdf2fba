"""Instances as containers: an init, cloud-init and a Docker engine inside, on a network of ours.

The containers are privileged, for a Docker engine runs in each: root in one is root on this host,
as it is for whoever may speak to the engine's socket.
"""

from __future__ import annotations

import hashlib
import io
import ipaddress
import shlex
import tarfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound
from docker.types import IPAMConfig, IPAMPool

from orchestrator.engine import EngineError, translated
from orchestrator.localcloud.world import Birth, Ran

LABEL: Final = "steelyard.cloud"  # what a thing is: machine, registry, network
OWNER: Final = "steelyard.cloud.owner"  # whose it is: one engine may carry several clouds
API_PORT: Final = 4566
IMDS_PORT: Final = 8169  # as the image's unit has it
CLOUD_HOST: Final = "cloud"  # what machines call the gateway
_STOP_S: Final = 4  # a clean power-off; AWS gives some minutes
_CONSOLE_LINES: Final = 400
# A /20 of which containers take the lower half and Elastic addresses are in the upper one.
_SUBNETS: Final = tuple(f"10.213.{third}.0/20" for third in range(0, 256, 16))
_CPU_FILES: Final = (  # cgroup v1, v2; `docker stats` is not everywhere to be trusted
    ("/sys/fs/cgroup/cpuacct/docker/{}/cpuacct.usage", ""),
    ("/sys/fs/cgroup/system.slice/docker-{}.scope/cpu.stat", "usage_usec"),
    ("/sys/fs/cgroup/docker/{}/cpu.stat", "usage_usec"),
)


@dataclass(frozen=True, slots=True)
class Network:
    """The cloud's network: this host's address in it, and the part that Elastic addresses have.

    Its name is the owner of all that is on it.
    """

    name: str
    gateway: str
    elastic: ipaddress.IPv4Network


def name_of(folder: Path) -> str:
    """The name of the cloud whose state folder this is."""
    return f"steelyard-{hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]}"


def make_network(engine: docker.DockerClient, name: str) -> Network:
    """A network of that name, which is not there yet. Raises EngineError."""
    refusal: APIError | None = None
    for subnet in _SUBNETS:
        halves = list(ipaddress.IPv4Network(subnet).subnets(1))
        gateway = str(halves[0][1])
        pool = IPAMPool(subnet=subnet, iprange=str(halves[0]), gateway=gateway)
        try:
            engine.networks.create(
                name,
                ipam=IPAMConfig(pool_configs=[pool]),
                labels={LABEL: "network", OWNER: name},
            )
        except APIError as error:  # another network has it
            refusal = error
        else:
            return Network(name=name, gateway=gateway, elastic=halves[1])
    raise EngineError(f"no room for a network: {refusal}") from refusal


def remove_all(engine: docker.DockerClient, owner: str) -> int:
    """Every container and network of one cloud, no other's; how many containers there were."""
    mine: dict[str, str | list[str] | bool] = {"label": f"{OWNER}={owner}"}
    with translated(f"removing what is left of {owner}"):
        found = engine.containers.list(all=True, filters=mine, ignore_removed=True)
        for container in found:
            with suppress(NotFound):
                container.remove(force=True, v=True)
        for network in engine.networks.list(filters=mine):
            with suppress(NotFound):
                network.remove()
    return len(found)


class Containers:
    """`Machines` on a Docker engine."""

    def __init__(
        self,
        engine: docker.DockerClient,
        image: str,
        network: Network,
        hosts: Mapping[str, str],  # names and their addresses, beside the cloud's own
        files: Mapping[str, str],  # what every machine finds when it starts: text by path
    ) -> None:
        self._engine = engine
        self._image = image
        self._network = network.name
        self._hosts = {CLOUD_HOST: network.gateway, **hosts}
        self._files = dict(files)

    def start(self, birth: Birth) -> str:
        with translated(f"starting {birth.ident}"):
            container = self._engine.containers.create(
                self._image,
                name=birth.ident,
                hostname=birth.ident,
                labels={LABEL: "machine", OWNER: self._network},
                network=self._network,
                extra_hosts=self._hosts,
                privileged=True,
                tty=True,  # the console: what systemd and the user data say is kept as its log
                tmpfs={"/run": "", "/run/lock": ""},
                volumes=["/var/lib/docker"],
                cgroupns="private",
            )
            container.put_archive("/", archive(self._files))
            container.start()
            container.reload()
            attrs: dict[str, Any] = container.attrs
        return str(attrs["NetworkSettings"]["Networks"][self._network]["IPAddress"])

    def running(self) -> Mapping[str, str]:
        return {
            one["Names"][0].lstrip("/"): networks[self._network]["IPAddress"]
            for one in self._listed()
            if self._network in (networks := one["NetworkSettings"]["Networks"])
        }

    def end(self, ident: str) -> None:
        with translated(f"ending {ident}"), suppress(NotFound):
            container = self._engine.containers.get(ident)
            container.stop(timeout=_STOP_S)
            container.remove(force=True, v=True)

    def run(self, ident: str, script: str, timeout_s: float) -> Ran:
        command = ["timeout", "-k", "1", f"{timeout_s:g}", "bash", "-c", script]
        with translated(f"a script on {ident}"):
            done: Any = self._engine.containers.get(ident).exec_run(command, demux=True)
        out, err = (part or b"" for part in done.output)
        return Ran(int(done.exit_code or 0), _text(out), _text(err))

    def console(self, ident: str) -> str:
        with translated(f"the console of {ident}"), suppress(NotFound):
            return _text(self._engine.containers.get(ident).logs(tail=_CONSOLE_LINES))
        return ""

    def give_address(self, ident: str, address: str) -> None:
        # The neighbours may still think that it is elsewhere.
        done = self.run(
            ident,
            f"ip address replace {shlex.quote(address)}/32 dev eth0 && "
            f"arping -q -U -c 2 -w 2 -I eth0 {shlex.quote(address)} || true",
            10,
        )
        if done.status:
            raise EngineError(f"{ident} does not take {address}: {done.errors}")

    def take_address(self, ident: str, address: str) -> None:
        if ident in self.running():
            self.run(ident, f"ip address delete {shlex.quote(address)}/32 dev eth0 || true", 10)

    def cpu_s(self) -> Mapping[str, float]:
        used = {}
        for one in self._listed():
            for pattern, field in _CPU_FILES:
                path = Path(pattern.format(one["Id"]))
                if path.exists():
                    used[one["Names"][0].lstrip("/")] = _cpu_s(path.read_text(), field)
                    break
        return used

    def _listed(self) -> list[dict[str, Any]]:
        labels = [f"{LABEL}=machine", f"{OWNER}={self._network}"]
        filters = {"label": labels, "status": "running"}
        with translated("listing the machines"):
            return list(self._engine.api.containers(filters=filters))


def _cpu_s(text: str, field: str) -> float:
    if not field:
        return int(text) / 1e9
    return next(int(ln.split()[1]) for ln in text.splitlines() if ln.startswith(field)) / 1e6


def archive(files: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, text in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size = len(text.encode())
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def _text(data: bytes) -> str:
    return data.decode(errors="replace").replace("\r\n", "\n")
