"""k6 really run, against a stub on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import psutil
import pytest

from loadtest import generator
from loadtest.drive import drive
from loadtest.generator import GeneratorMissing
from loadtest.plan import ClusterLoad, Plan, Scenario
from loadtest.preflight import TargetUnreachable
from loadtest.progress import Progress
from loadtest.result import read_result
from loadtest.verdict import Outcome
from tests.loadtest.stub import Stub, serving


def k6_processes() -> list[int]:
    """Of this test process."""
    return [child.pid for child in psutil.Process().children() if child.name().startswith("k6")]


async def test_a_thousand_to_each_cluster(tmp_path: Path) -> None:
    seen: list[Progress] = []
    async with serving(Stub()) as stub:
        result = await drive(Plan(target=stub.url), tmp_path, on_progress=seen.append)
        assert stub.seen == 2000 + 2  # the preflight asks each cluster once
        # One per virtual user that got a turn, and few more: Go's client lets a connection go whose
        # request it does not know to be written 50 ms after the answer (a busy machine).
        assert 64 < stub.connections < 2 * 64 + 2000 // 20
    assert result.verdict.outcome is Outcome.PASSED, result.verdict.reasons
    assert [each.requests for each in result.clusters] == [1000, 1000]
    for cluster in result.clusters:
        assert cluster.statuses == {"200": 1000}
        assert sum(cluster.targets.values()) == 1000
        assert set(cluster.targets) == {f"{cluster.name}-{at}" for at in range(1, 5)}
        # Our percentiles are k6's own.
        summary = json.loads((tmp_path / f"k6-summary-{cluster.name}.json").read_text("utf-8"))
        name = f"http_req_duration{{scenario:{cluster.name},expected_response:true}}"
        values = summary["metrics"][name]["values"]
        assert cluster.latency is not None
        assert cluster.latency.p50_ms == pytest.approx(values["med"], abs=1e-3)
        assert cluster.latency.p99_ms == pytest.approx(values["p(99)"], abs=1e-3)
        # The time is that of the requests, not of the process around them: it lies within the time
        # in which k6 ran the scenario, by the same clock, however busy the machine is.
        assert 0 < cluster.duration_s <= summary["state"]["testRunDurationMs"] / 1e3
    assert {each.label for each in seen} == {"cluster1", "cluster2"}
    assert (seen[-1].requests, seen[-1].share) == (1000, 1)
    assert read_result(tmp_path) == result
    assert k6_processes() == []


async def test_every_request_on_a_connection_of_its_own(tmp_path: Path) -> None:
    async with serving(Stub()) as stub:
        plan = Plan(
            target=stub.url,
            clusters=(ClusterLoad("one", "/one"),),
            requests=100,
            concurrency=10,
            fresh_connections=True,
        )
        result = await drive(plan, tmp_path)
        assert stub.connections == 100 + 1
    assert result.verdict.outcome is Outcome.PASSED, result.verdict.reasons


async def test_failed_answers_fail_the_run(tmp_path: Path) -> None:
    stub = Stub(status=lambda path, rng: 503 if path == "/cluster2" else 200)
    async with serving(stub):
        result = await drive(Plan(target=stub.url, requests=50), tmp_path)
    assert result.verdict.outcome is Outcome.FAILED
    assert result.verdict.reasons == ("cluster2: 50 of 50 requests failed",)
    assert result.clusters[1].failures == {"status 503": 50}
    assert result.notes == (f"before the run, {stub.url}/cluster2 answered 503",)


async def test_a_target_that_goes_away_fails_the_run(tmp_path: Path) -> None:
    """k6 itself exits with 0 when every connection is refused."""
    async with serving(Stub()) as stub:
        plan = Plan(target=stub.url, clusters=(ClusterLoad("one", "/one"),), requests=20)
        going = asyncio.create_task(drive(plan, tmp_path))
        await stub.wait_seen(1)  # the preflight has passed; k6 is not up yet
    result = await going
    assert result.verdict.outcome is Outcome.FAILED
    assert result.clusters[0].failures == {"connection refused": 20}
    assert result.clusters[0].latency is None


async def test_a_saturated_generator_is_not_a_result(tmp_path: Path) -> None:
    async with serving(Stub(delay_s=lambda path, rng: 0.2)) as stub:
        plan = Plan(target=stub.url, scenario=Scenario.STEADY, rate_per_s=50, duration_s=1, users=2)
        result = await drive(plan, tmp_path)
    assert result.verdict.outcome is Outcome.SATURATED
    assert all(cluster.dropped > 10 for cluster in result.clusters)
    assert (tmp_path / "cluster1.csv").exists()


@pytest.mark.parametrize(
    "scenario", [Scenario.STEADY, Scenario.RAMP, Scenario.SPIKE, Scenario.SOAK]
)
async def test_rates_send_what_was_planned(tmp_path: Path, scenario: Scenario) -> None:
    async with serving(Stub()) as stub:
        plan = Plan(target=stub.url, scenario=scenario, rate_per_s=40, duration_s=1.5, users=20)
        result = await drive(plan, tmp_path)
    assert result.verdict.outcome is Outcome.PASSED, result.verdict.reasons
    for cluster in result.clusters:
        assert cluster.requests == pytest.approx(plan.planned_per_cluster, abs=3)


async def test_stopped_early_it_tells_what_was_measured(tmp_path: Path) -> None:
    stop = asyncio.Event()

    def watch(progress: Progress) -> None:
        if progress.requests:
            stop.set()

    async with serving(Stub()) as stub:
        plan = Plan(target=stub.url, scenario=Scenario.STEADY, rate_per_s=50, duration_s=60)
        async with asyncio.timeout(20):
            result = await drive(plan, tmp_path, on_progress=watch, stop=stop)
    assert result.verdict.outcome is Outcome.INTERRUPTED
    assert all(cluster.requests > 0 for cluster in result.clusters)
    assert result.exit_codes == (103,)
    assert (tmp_path / "k6-summary-cluster1-cluster2.json").exists()
    assert k6_processes() == []


async def test_cancelled_it_leaves_no_k6_behind(tmp_path: Path) -> None:
    async with serving(Stub()) as stub:
        plan = Plan(target=stub.url, scenario=Scenario.STEADY, duration_s=60)
        going = asyncio.create_task(drive(plan, tmp_path))
        await stub.wait_seen(10)
        going.cancel()
        with pytest.raises(asyncio.CancelledError):
            await going
    assert k6_processes() == []


async def test_a_callback_that_fails_is_heard_of(tmp_path: Path) -> None:
    def fail(progress: Progress) -> None:
        raise LookupError("the screen is gone")

    async with serving(Stub()) as stub:
        with pytest.raises(LookupError, match="screen"):
            await drive(Plan(target=stub.url, requests=10), tmp_path, on_progress=fail)


async def test_an_unreachable_target_is_found_before_k6_is_started(tmp_path: Path) -> None:
    async with serving(Stub()) as stub:
        pass
    with pytest.raises(TargetUnreachable, match="cannot be reached"):
        await drive(Plan(target=stub.url), tmp_path / "run")
    assert not (tmp_path / "run").exists()


async def test_a_missing_k6_says_where_it_was_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(GeneratorMissing, match="k6 is missing"):
        generator.find_k6()
