"""Every route over a real fleet with stub targets and a ledger that the test writes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from random import Random
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.balancer.admin import Status, make_app
from services.balancer.config import ClusterConfig, Config, HealthCheck, Probe, TargetSource
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import ClusterCell, Ledger, ProcessCell, TargetCell, latency_bucket
from services.balancer.messages import Message, ProcessPicture, ReloadResult
from services.balancer.peers.attend import Peers
from tests.balancer.fleet.conditions import StubTarget, stub_target, wait_until


class Channel:
    """A supervisor that takes everything."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self.slow = False

    def send(self, message: Message) -> bool:
        self.sent.append(message)
        return True


@dataclass
class Stand:
    """An admin API with two targets behind it."""

    api: httpx.AsyncClient
    fleet: Fleet
    ledger: Ledger
    status: Status
    targets: list[StubTarget]
    reloads: list[ReloadResult]

    def id(self, index: int) -> str:
        return f"c/{self.targets[index].address}"

    def slot(self, index: int) -> int:
        return self.fleet.registry.members[self.id(index)].slot

    async def get(self, path: str) -> Any:
        answer = await self.api.get(path)
        assert answer.status_code == 200
        return answer.json()

    async def rows(self) -> dict[str, Any]:
        found = (await self.get("/api/clusters"))["clusters"][0]["targets"]
        return {target["id"]: target for target in found}


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    ledger = Ledger.create(rows=2)
    status = Status()
    reloads = [ReloadResult(id=1, version=2)]

    async def reload() -> ReloadResult:
        if not reloads:
            raise TimeoutError
        return reloads.pop(0)

    async with stub_target() as one, stub_target() as two, asyncio.TaskGroup() as group:
        cluster = ClusterConfig(
            name="c",
            targets=(TargetSource(static=(str(one.address), str(two.address))),),
            health=HealthCheck(interval_s=0.02),
            probe=Probe(interval_s=0.02),
        )
        peers = Peers(ledger, group)
        fleet = Fleet(ledger, Channel(), group, Random(1), followers=(peers,))
        status.config = Config(clusters=(cluster,))
        status.columns = {"c": 0}
        fleet.start(status.config, [])
        transport = httpx.ASGITransport(make_app(fleet, ledger, status, reload, peers))
        async with httpx.AsyncClient(transport=transport, base_url="http://admin") as api:
            await wait_until(lambda: fleet.first_round_done)
            await wait_until(lambda: all(m.probe for m in fleet.registry.members.values()))
            yield Stand(api, fleet, ledger, status, [one, two], reloads)
        await fleet.close()
        await peers.close()
        await asyncio.sleep(0)
    ledger.close()


async def test_ready_when_a_process_is_and_every_target_was_checked(stand: Stand) -> None:
    assert (await stand.api.get("/healthz")).status_code == 200
    answer = await stand.api.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["no data-plane process is ready"]
    stand.status.processes = (ProcessPicture(row=0, pid=1, ready=True, restarts=0),)
    assert (await stand.api.get("/readyz")).status_code == 200
    stand.status.draining = True
    answer = await stand.api.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["draining"])


async def test_targets_that_fail_do_not_make_the_balancer_unready(stand: Stand) -> None:
    stand.status.processes = (ProcessPicture(row=0, pid=1, ready=True, restarts=0),)
    for target in stand.targets:
        target.answers["/readyz"] = (503, b"")
    await wait_until(
        lambda: all(m.state.health == "unhealthy" for m in stand.fleet.registry.members.values())
    )
    assert (await stand.api.get("/readyz")).status_code == 200
    rows = await stand.rows()
    assert {row["check_error"] for row in rows.values()} == {"answered 503"}


async def test_the_scoreboard_adds_up_all_processes(stand: Stand) -> None:
    slot = stand.slot(0)
    for row, pending in ((0, 2), (1, 3)):
        stand.ledger.pending(row)[slot] = pending
        cells = stand.ledger.target(row, slot)
        cells[TargetCell.REQUESTS] = 10
        cells[TargetCell.RESPONSES_2XX] = 7
        cells[TargetCell.TIMEOUTS] = 1
        cells[latency_bucket(1_500)] = 8
        cells[TargetCell.LATENCY_SUM_US] = 8 * 1_500
    row = (await stand.rows())[stand.id(0)]
    assert (row["pending"], row["requests"], row["responses"]["2xx"]) == (5, 20, 14)
    assert row["failures"] == {"connect": 0, "broken": 0, "timeout": 2, "starved": 0}
    assert row["latency"]["mean_ms"] == 1.5
    assert row["latency"]["p50_ms"] == 1.5
    assert (row["state"], row["instance_id"], row["probe"]["cpu"]) == ("healthy", "i-1", 0.5)
    stand.ledger.zero_pending(1)  # the process died
    row = (await stand.rows())[stand.id(0)]
    assert (row["pending"], row["requests"]) == (2, 20)


async def test_a_cluster_in_panic_says_so(stand: Stand) -> None:
    """One process is enough: it uses all targets."""

    async def panic() -> tuple[Any, str]:
        (data,) = (await stand.api.get("/api/clusters")).json()["clusters"]
        return data["panic"], (await stand.api.get("/metrics")).text

    said, metrics = await panic()
    assert said is False
    assert 'steelyard_panic{cluster="c"} 0.0' in metrics
    stand.ledger.cluster(1, 0)[ClusterCell.PANICKING] = 1
    stand.ledger.cluster(1, 0)[ClusterCell.PANICS] = 4
    said, metrics = await panic()
    assert said is True
    assert 'steelyard_panic{cluster="c"} 1.0' in metrics
    assert 'steelyard_panics_total{cluster="c"} 4.0' in metrics


async def test_an_ejected_target_says_who_and_why(stand: Stand) -> None:
    cells = stand.ledger.target(1, stand.slot(0))
    cells[TargetCell.EJECTED] = 1
    cells[TargetCell.EJECTIONS_CONSECUTIVE] = 3
    row = (await stand.rows())[stand.id(0)]
    assert (row["state"], row["health"], row["ejected_by"]) == ("ejected", "healthy", 1)
    assert row["ejections"]["consecutive"] == 3
    (data,) = (await stand.api.get("/api/clusters")).json()["clusters"]
    assert data["eligible"] == 1
    metrics = (await stand.api.get("/metrics")).text
    assert 'cause="consecutive",cluster="c"' in metrics
    assert len([line for line in metrics.splitlines() if line.endswith(" 3.0")]) == 1


async def test_a_weight_is_set_shown_and_told(stand: Stand) -> None:
    path = f"/api/targets/{stand.id(0)}/weight"
    answer = await stand.api.post(path, params={"value": 7})
    assert (answer.status_code, answer.json()["target"]["weight"]) == (200, 7)
    assert stand.fleet.registry.members[stand.id(0)].picture.weight == 7
    assert (await stand.rows())[stand.id(1)]["weight"] == 1
    for value in ("0", "1001", "x", ""):
        assert (await stand.api.post(path, params={"value": value})).status_code == 422
    missing = await stand.api.post("/api/targets/c/1.2.3.4:5/weight", params={"value": 2})
    assert missing.status_code == 404


async def test_a_drain_has_a_deadline(stand: Stand) -> None:
    def cut() -> bool:
        return stand.fleet.registry.members[stand.id(0)].picture.cut

    path = f"/api/targets/{stand.id(0)}"
    await stand.api.post(f"{path}/drain", params={"deadline_s": 60})
    await stand.api.post(f"{path}/drain", params={"deadline_s": 0})  # sooner: the last word counts
    await wait_until(cut)
    await stand.api.post(f"{path}/undrain")
    assert not cut()
    await stand.api.post(f"{path}/drain")
    member = stand.fleet.registry.members[stand.id(0)]
    stand.fleet.registry.cut(member.id, member.drains - 1)  # of a drain before
    assert not cut()
    refused = await stand.api.post(f"{path}/drain", params={"deadline_s": -1})
    assert refused.status_code == 422


async def test_the_scoreboard_is_refilled_all_the_time(stand: Stand) -> None:
    """A simple balancer fills it once at start."""
    before = (await stand.rows())[stand.id(0)]["probe"]["at"]
    stand.targets[0].answers["/load"] = (200, b'{"pending": 77}')
    await wait_until(
        lambda: getattr(stand.fleet.registry.members[stand.id(0)].probe, "pending", 0) == 77
    )
    after = (await stand.rows())[stand.id(0)]["probe"]
    assert after["at"] > before
    assert after["pending"] == 77


async def test_the_fastest_comes_first_and_the_failing_last(stand: Stand) -> None:
    failing = min((0, 1), key=stand.slot)  # the first in the registry
    stand.targets[failing].answers["/load"] = (500, b"")
    member = stand.fleet.registry.members[stand.id(failing)]
    await wait_until(lambda: member.probe is not None and member.probe.error == "answered 500")
    targets = (await stand.get("/api/clusters"))["clusters"][0]["targets"]
    assert [target["id"] for target in targets] == [stand.id(1 - failing), stand.id(failing)]


async def test_drain_and_undrain(stand: Stand) -> None:
    answer = await stand.api.post(f"/api/targets/{stand.id(0)}/drain")
    assert answer.status_code == 200
    assert answer.json()["target"]["state"] == "draining"
    assert (await stand.get("/api/clusters"))["clusters"][0]["eligible"] == 1
    answer = await stand.api.post(f"/api/targets/{stand.id(0)}/undrain")
    assert answer.json()["target"]["state"] == "healthy"


async def test_drain_waits_for_what_is_pending(stand: Stand) -> None:
    pending = stand.ledger.pending(0)
    pending[stand.slot(0)] = 1
    path = f"/api/targets/{stand.id(0)}/drain"
    began = time.monotonic()
    assert (await stand.api.post(path, params={"wait_s": 0.3})).json()["drained"] is False
    assert time.monotonic() - began >= 0.3
    waiting = asyncio.create_task(stand.api.post(path, params={"wait_s": 20}))
    await wait_until(lambda: stand.fleet.registry.members[stand.id(0)].draining)
    assert not waiting.done()
    pending[stand.slot(0)] = 0
    assert (await waiting).json()["drained"] is True
    pending.release()


async def test_errors_are_json(stand: Stand) -> None:
    answer = await stand.api.post("/api/targets/c/nobody/drain")
    assert answer.status_code == 404
    assert answer.json()["error"] == "no target 'c/nobody'"
    assert sorted(answer.json()["targets"]) == sorted([stand.id(0), stand.id(1)])
    answer = await stand.api.post(f"/api/targets/{stand.id(0)}/drain", params={"wait_s": "-1"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("wait_s: ")
    assert (await stand.api.get("/nothing")).json() == {"error": "not found"}
    assert (await stand.api.get("/docs")).status_code == 404


async def test_a_web_page_of_someone_else_drains_nothing(stand: Stand) -> None:
    path = f"/api/targets/{stand.id(0)}/drain"
    answer = await stand.api.post(path, headers={"Origin": "http://evil.example"})
    assert answer.status_code == 403
    assert (await stand.api.post(path, headers={"Origin": "http://admin"})).status_code == 200


async def test_reload(stand: Stand) -> None:
    assert (await stand.api.post("/api/reload")).json() == {"version": 2, "problems": []}
    stand.reloads.append(ReloadResult(id=2, version=2, problems=("b.yaml:1:1: no",)))
    answer = await stand.api.post("/api/reload")
    assert (answer.status_code, answer.json()["problems"]) == (422, ["b.yaml:1:1: no"])
    assert (await stand.api.post("/api/reload")).status_code == 504


async def test_config_and_processes(stand: Stand) -> None:
    assert (await stand.get("/api/config"))["config"]["clusters"][0]["name"] == "c"
    stand.status.processes = (ProcessPicture(row=1, pid=7, ready=True, restarts=2),)
    stand.ledger.process(1)[ProcessCell.CONNECTIONS] = 9
    found = (await stand.get("/api/processes"))["processes"]
    assert [(p["row"], p["pid"], p["restarts"], p["connections"]) for p in found] == [(1, 7, 2, 9)]


async def test_metrics_are_what_the_ledger_says(stand: Stand) -> None:
    slot = stand.slot(0)
    cells = stand.ledger.target(0, slot)
    cells[TargetCell.RESPONSES_2XX] = 5
    cells[latency_bucket(400)] = 3
    cells[latency_bucket(99_000_000)] = 2
    cells[TargetCell.LATENCY_SUM_US] = 1_500_000
    stand.ledger.pending(1)[slot] = 4
    stand.ledger.process(1)[ProcessCell.RETRIES] = 6
    stand.status.processes = (ProcessPicture(row=0, pid=7, ready=True, restarts=2),)
    answer = await stand.api.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    target = (("cluster", "c"), ("target", str(stand.targets[0].address)))
    for name, labels, value in (
        ("steelyard_requests_total", (("cluster", "c"), ("code", "2xx"), target[1]), 5),
        ("steelyard_latency_seconds_bucket", (target[0], ("le", "0.0005"), target[1]), 3),
        ("steelyard_latency_seconds_bucket", (target[0], ("le", "10.0"), target[1]), 3),
        ("steelyard_latency_seconds_bucket", (target[0], ("le", "+Inf"), target[1]), 5),
        ("steelyard_latency_seconds_count", target, 5),
        ("steelyard_latency_seconds_sum", target, 1.5),
        ("steelyard_pending", target, 4),
        ("steelyard_target_healthy", target, 1),
        ("steelyard_target_cpu_ratio", target, 0.5),
        ("steelyard_retries_total", (("process", "1"),), 6),
        ("steelyard_process_restarts_total", (("process", "0"),), 2),
        ("steelyard_discovery_failing", (("cluster", "c"), ("source", "static")), 0),
    ):
        assert samples[(name, *labels)] == value, name
