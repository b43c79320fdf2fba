"""The scenario's machines as worker processes that model them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from loadtest.arena.scenario import Group, Scenario
from loadtest.peers.contenders import HOST, Launch
from loadtest.peers.machine import split_cores
from loadtest.peers.process import Running, free_ports, running
from services.contract import CLUSTER_MICRO, ENV_CLUSTER_NAME, ENV_INSTANCE_ID, HEALTH_PATH


@dataclass(frozen=True, slots=True)
class Fleet:
    """Workers that run, in the order of the scenario's machines."""

    ports: tuple[int, ...]
    processes: tuple[Running, ...]

    def cpu_s(self) -> float:
        """Real CPU seconds of all of them so far."""
        return sum(process.cpu_s() for process in self.processes)


def worker(number: int, group: Group, port: int) -> Launch:
    """One modelled machine: it does exactly the work that a request asks for (`?work_ms=`)."""
    argv = (sys.executable, "-m", "services.worker", "--host", HOST, "--port", str(port))
    env = {
        ENV_INSTANCE_ID: f"live-{number:04}",
        ENV_CLUSTER_NAME: CLUSTER_MICRO,
        "WORK_MODE": "model",
        "MACHINE_VCPUS": str(group.cores),
        "MACHINE_SPEED": str(group.speed),
        "ENABLE_FAULTS": "1",
        "LOG_REQUESTS": "0",
        "IMDS": "0",
        "DRAIN_NOTICE_S": "0",  # nobody has to hear that it leaves
        "GRACE_S": "1",
    }
    return Launch(argv, {}, env, ready_path=HEALTH_PATH)


@contextmanager
def fleet(scenario: Scenario, rng: Random) -> Iterator[Fleet]:
    """Start a worker for each machine; all are gone after the block. Raises PeersError."""
    groups = [group for group in scenario.machines for _ in range(group.count)]
    cores = split_cores()
    processes = []
    with ExitStack() as stack:
        ports = free_ports(len(groups), rng)
        for number, (group, port) in enumerate(zip(groups, ports, strict=True)):
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="steelyard-live-worker-")))
            started = running(
                worker(number, group, port),
                name=f"worker {number}",
                listen=port,
                directory=folder,
                cores=cores.proxy | cores.rest,
            )
            processes.append(stack.enter_context(started))
        yield Fleet(tuple(ports), tuple(processes))
