"""CPU stress on demand: in processes of its own, bounded, and never left behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.worker.conftest import StartWorker, WorkerProcess, wait_until


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def runs(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_stress_runs_beside_the_server_and_ends(start_worker: StartWorker) -> None:
    worker = start_worker(STRESS_MAX_WORKERS="2", CLUSTER_NAME="cluster1")
    reply = worker.request("POST", "/stress", {"seconds": 0.5, "workers": 2})
    assert reply.status == 202
    assert reply.json()["cluster"] == "cluster1"
    wait_until(lambda: len(children(worker.pid)) == 2)
    refused = worker.request("POST", "/stress", {"seconds": 1})
    assert refused.status == 429
    assert int(refused.headers["retry-after"]) >= 1
    assert worker.get("/cluster1").status == 200  # the server stays responsive
    wait_until(lambda: children(worker.pid) == [])
    assert worker.request("POST", "/stress", {"seconds": 0.1}).status == 202


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_stress_dies_with_its_worker(start_worker: StartWorker, end: signal.Signals) -> None:
    worker = start_worker()
    worker.request("POST", "/stress", {"seconds": 60})
    wait_until(lambda: len(children(worker.pid)) == 1)
    (child,) = children(worker.pid)
    wait_until(lambda: os.getpriority(os.PRIO_PROCESS, child) == 10)  # it has begun, politely
    worker.stop(end)
    wait_until(lambda: not runs(child))


def test_on_a_modelled_machine_stress_is_modelled(worker: WorkerProcess) -> None:
    assert worker.request("POST", "/stress", {"seconds": 3, "workers": 2}).status == 202
    assert children(worker.pid) == []
    wait_until(lambda: worker.get("/load").json()["cpu_utilization"] > 0.9)
    wait_until(lambda: worker.get("/load").json()["cpu_utilization"] == 0)
