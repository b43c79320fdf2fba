"""The endpoints of a real worker, over real sockets."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from services.contract import LOAD_HEADER, METRIC_CPU, METRIC_LATENCY_MS, METRIC_PENDING
from tests.worker.conftest import StartWorker, WorkerProcess, wait_until

WHO = {"instance_id": "i-test", "cluster": "cluster1", "private_ip": "10.0.0.9"}


def metrics(header: str) -> dict[str, float]:
    form, _, rest = header.partition(" ")
    assert form == "TEXT"
    return {name: float(value) for name, value in (pair.split("=") for pair in rest.split(", "))}


@pytest.mark.parametrize("path", ["/", "/cluster1", "/cluster2", "/cluster1?work_ms=0"])
def test_it_says_who_it_is(worker: WorkerProcess, path: str) -> None:
    reply = worker.get(path)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json().items() >= WHO.items()
    assert reply.json()["hostname"] == socket.gethostname()


def test_a_cluster_of_another_name_is_served_as_well(start_worker: StartWorker) -> None:
    worker = start_worker(CLUSTER_NAME="checkout")
    assert worker.get("/checkout").json()["cluster"] == "checkout"
    assert worker.get("/checkout?routed").status == worker.get("/checkout/seed").status == 200
    assert (worker.get("/cluster1").status, worker.get("/other").status) == (200, 404)


@pytest.mark.parametrize("path", ["/cluster1", "/healthz", "/readyz", "/load", "/"])
def test_the_shortcut_answers_as_the_route_does(worker: WorkerProcess, path: str) -> None:
    short, routed = worker.get(path), worker.get(path + "?routed")
    assert (short.status, short.headers.keys()) == (routed.status, routed.headers.keys())
    assert short.json().keys() == routed.json().keys()
    head = worker.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] != "0"


def test_the_seed_is_set_and_read_back_as_text(worker: WorkerProcess) -> None:
    assert worker.request("POST", "/seed", {"num": 100}).status == 200
    assert worker.get("/seed").body == b"100"
    assert worker.request("POST", "/cluster1/seed", {"num": -7}).status == 200
    assert worker.get("/cluster2/seed").body == b"-7"
    assert worker.get("/cluster1/ip").body == b"10.0.0.9"


@pytest.mark.parametrize(
    ("method", "path", "body", "place"),
    [
        ("POST", "/seed", {"num": "many"}, ["body", "num"]),
        ("POST", "/seed", {}, ["body", "num"]),
        ("POST", "/seed", {"num": 2**70}, ["body", "num"]),
        ("POST", "/seed", b"{nonsense", ["body", 1]),
        ("POST", "/stress", {"seconds": 61}, ["body", "seconds"]),
        ("POST", "/stress", {"seconds": 1, "workers": 3}, ["body", "workers"]),
        ("POST", "/faults", {"fail": 2}, ["body", "fail"]),
        ("GET", "/cluster1?work_ms=-1", None, ["query", "work_ms"]),
        ("GET", "/cluster2?work_ms=soon", None, ["query", "work_ms"]),
        ("GET", "/cluster2?work_ms=nan", None, ["query", "work_ms"]),
    ],
)
def test_bad_input_is_422_with_the_field(
    worker: WorkerProcess, method: str, path: str, body: Any, place: list[object]
) -> None:
    reply = worker.request(method, path, body, {"content-type": "application/json"})
    assert reply.status == 422
    assert reply.json()["detail"][0]["loc"] == place


def test_what_is_not_there(worker: WorkerProcess) -> None:
    assert worker.get("/nothing").status == 404
    assert worker.request("DELETE", "/seed").status == 405


def test_every_response_carries_the_load_report(worker: WorkerProcess) -> None:
    for path in ("/cluster1", "/healthz", "/nothing", "/load"):
        assert METRIC_PENDING in metrics(worker.get(path).headers[LOAD_HEADER])
    wait_until(lambda: METRIC_CPU in metrics(worker.get("/cluster1").headers[LOAD_HEADER]))
    worker.get("/cluster1?work_ms=30")
    worker.get("/cluster1")
    assert METRIC_LATENCY_MS in metrics(worker.get("/healthz").headers[LOAD_HEADER])


def test_the_report_counts_work_and_not_probes(worker: WorkerProcess) -> None:
    before = worker.get("/load").json()
    assert before["pending"] == 0
    assert (before["instance_id"], before["cluster"]) == ("i-test", "cluster1")
    assert before["cpu_source"] == "model"
    assert worker.get("/load").json()["requests"] == before["requests"]
    slow = worker.connect()
    slow.request("GET", "/cluster1?work_ms=60000")
    wait_until(lambda: worker.get("/load").json()["pending"] == 1)
    wait_until(lambda: worker.get("/load").json()["cpu_utilization"] > 0.4)  # one of two vCPUs
    slow.close()  # the client leaves; its work leaves the machine with it
    wait_until(lambda: worker.get("/load").json()["pending"] == 0)
    wait_until(lambda: worker.get("/load").json()["cpu_utilization"] == 0)
    assert worker.events("request")[-1]["status"] == 499


def test_modelled_work_takes_its_time(worker: WorkerProcess) -> None:
    assert worker.get("/cluster1?work_ms=50").status == 200
    wait_until(lambda: worker.events("request")[-1]["ms"] >= 50)


def test_each_request_is_one_structured_line(worker: WorkerProcess) -> None:
    worker.request("GET", '/cluster1?work_ms=0&x="', headers={"X-Request-Id": 'r"1'})
    wait_until(lambda: any(line.get("request_id") == 'r"1' for line in worker.events("request")))
    line = next(line for line in worker.events("request") if line.get("request_id") == 'r"1')
    assert line["instance"] == "i-test"
    assert line["cluster"] == "cluster1"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/cluster1", 200)
    assert not [line for line in worker.events("request") if line["path"] == "/healthz"]


def test_faults_are_switched_on_and_off(worker: WorkerProcess) -> None:
    try:
        assert worker.request("POST", "/faults", {"fail": 1}).json()["fail"] == 1
        assert worker.get("/cluster1").status == 500
        assert worker.get("/readyz").status == 200
        worker.request("POST", "/faults", {"hang": True})
        hanging = worker.connect()
        hanging.request("GET", "/cluster1")
        wait_until(lambda: worker.get("/load").json()["pending"] >= 1)
        hanging.close()
        wait_until(lambda: worker.get("/load").json()["pending"] == 0)
        worker.request("POST", "/faults", {"speed": 0.1})
        worker.get("/cluster1?work_ms=10&slowed")
        wait_until(lambda: worker.events("request")[-1]["ms"] >= 100)
    finally:
        assert worker.request("POST", "/faults", {}).json() == worker.get("/faults").json()
    assert worker.get("/cluster1").status == 200


def test_faults_are_not_there_unless_asked_for_and_requests_can_go_unlogged(
    start_worker: StartWorker,
) -> None:
    plain = start_worker(LOG_REQUESTS="0", WORK_MS="20")
    assert plain.request("POST", "/faults", {}).status == 404
    assert plain.get("/cluster1").status == 200  # 20 ms of real CPU in a thread
    assert plain.get("/load").json()["latency_ms"] >= 20
    assert plain.events("request") == []
    assert json.loads(plain.get("/load").body)["cpu_source"] != "model"
