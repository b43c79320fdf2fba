"""The local fleet as frozen data: which programs run, where they listen, what each is told.

Two clusters of four modelled machines, and the balancer in front of them. A modelled machine costs
no real CPU: the worker computes when a `t2.micro` would have answered and answers then
(`services.worker.machine`), so that eight unequal machines can be shown on two cores. Each request
costs WORK_MS of one vCPU on the average; a `t2.micro` has one vCPU and a `t2.large` two, of the
same speed. Both start with their launch credits, which last longer than any demo.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from orchestrator.local.ports import HOST
from services.contract import (
    CLUSTER_LARGE,
    CLUSTER_MICRO,
    ENV_CLUSTER_NAME,
    ENV_INSTANCE_ID,
    ENV_WORK_MS,
    READY_PATH,
)

BALANCER: Final = "balancer"
ADMIN: Final = "admin"
POLICY: Final = "steelyard"

WORK_MS: Final = 20.0
# Nobody waits for a notice here: the balancer checks every HEALTH_INTERVAL_S and needs two misses.
HEALTH_INTERVAL_S: Final = 0.5
DRAIN_NOTICE_S: Final = 2.0
GRACE_S: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One kind of worker: `count` of them in a cluster, on ports from `first_port`."""

    cluster: str
    size: str  # the short name in `micro-1`
    instance_type: str
    count: int
    first_port: int


MACHINES: Final = (
    Machine(
        cluster=CLUSTER_MICRO, size="micro", instance_type="t2.micro", count=4, first_port=9101
    ),
    Machine(
        cluster=CLUSTER_LARGE, size="large", instance_type="t2.large", count=4, first_port=9201
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One process: what to execute, with which additions to the environment, and its log.

    gives_notice: on SIGTERM it first serves on for others to notice; a second one ends the notice.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path
    port: int
    gives_notice: bool = False

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker(Program):
    """A worker process and the cluster it belongs to."""

    cluster: str
    instance_type: str

    @property
    def target_id(self) -> str:
        """Its name in the balancer's admin API."""
        return f"{self.cluster}/{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Everything that will run, and the balancer's configuration file."""

    workers: tuple[Worker, ...]
    balancer: Program
    admin_port: int
    config: Path
    config_text: str

    @property
    def programs(self) -> tuple[Program, ...]:
        """In the order of starting; stopping goes backwards."""
        return (*self.workers, self.balancer)

    @property
    def url(self) -> str:
        """Where clients go."""
        return f"http://{self.balancer.address}"

    @property
    def admin_url(self) -> str:
        return f"http://{HOST}:{self.admin_port}"

    @property
    def clusters(self) -> dict[str, list[Worker]]:
        """Workers by cluster."""
        grouped: dict[str, list[Worker]] = {}
        for worker in self.workers:
            grouped.setdefault(worker.cluster, []).append(worker)
        return grouped


def usual_ports(machines: tuple[Machine, ...] = MACHINES) -> dict[str, int]:
    """The ports of the documentation, by program name."""
    ports = {BALANCER: 8000, ADMIN: 9900}
    for machine in machines:
        for index in range(machine.count):
            ports[f"{machine.size}-{index + 1}"] = machine.first_port + index
    return ports


def make_plan(
    ports: Mapping[str, int],
    folder: Path,
    *,
    machines: tuple[Machine, ...] = MACHINES,
    work_ms: float = WORK_MS,
) -> FleetPlan:
    """The fleet on these ports, its files in `folder`. `ports` as from `usual_ports`."""
    workers = tuple(
        _worker(machine, f"{machine.size}-{index + 1}", ports, folder, work_ms)
        for machine in machines
        for index in range(machine.count)
    )
    config = folder / "balancer.yaml"
    return FleetPlan(
        workers=workers,
        balancer=Program(
            name=BALANCER,
            # -P: what runs is the installed package, whatever lies in the working directory.
            argv=(sys.executable, "-P", "-m", "services.balancer", "--config", str(config)),
            env={},
            log=folder / "balancer.log",
            port=ports[BALANCER],
        ),
        admin_port=ports[ADMIN],
        config=config,
        config_text=_config_text(workers, ports),
    )


def _worker(
    machine: Machine, name: str, ports: Mapping[str, int], folder: Path, work_ms: float
) -> Worker:
    port = ports[name]
    return Worker(
        name=name,
        argv=(
            *(sys.executable, "-P", "-m", "services.worker"),
            *("--host", HOST, "--port", str(port)),
        ),
        env={
            ENV_INSTANCE_ID: name,
            ENV_CLUSTER_NAME: machine.cluster,
            ENV_WORK_MS: f"{work_ms:g}",
            "WORK_MODE": "model",
            "WORK_DIST": "exponential",
            "WORK_SEED": str(port),  # eight workers, eight sequences
            "MACHINE": machine.instance_type,
            "IMDS": "0",  # this is not EC2: do not ask
            "DRAIN_NOTICE_S": f"{DRAIN_NOTICE_S:g}",
            "GRACE_S": f"{GRACE_S:g}",
        },
        log=folder / f"{name}.log",
        port=port,
        gives_notice=True,
        cluster=machine.cluster,
        instance_type=machine.instance_type,
    )


def _config_text(workers: tuple[Worker, ...], ports: Mapping[str, int]) -> str:
    grouped: dict[str, list[str]] = {}
    for worker in workers:
        grouped.setdefault(worker.cluster, []).append(worker.address)
    config: dict[str, Any] = {
        "listen": f"{HOST}:{ports[BALANCER]}",
        "admin": f"{HOST}:{ports[ADMIN]}",
        "processes": 1,
        "clusters": [
            {
                "name": cluster,
                "policy": POLICY,
                "targets": [{"static": addresses}],
                "health": {"path": READY_PATH, "interval_s": HEALTH_INTERVAL_S},
            }
            for cluster, addresses in grouped.items()
        ],
        "routes": [
            *({"path": f"/{cluster}", "cluster": cluster} for cluster in grouped),
            {"path": "/", "exact": True, "respond": {"status": 200, "text": "steelyard\n"}},
        ],
    }
    head = "# Written for this run: the fleet as processes on loopback.\n"
    return head + yaml.safe_dump(config, sort_keys=False)
