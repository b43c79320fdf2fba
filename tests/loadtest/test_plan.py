from __future__ import annotations

import pytest

from loadtest.plan import DEFAULT_CLUSTERS, ClusterLoad, Plan, PlanError, Scenario, k6_options
from tests.loadtest.made import TARGET


def plan(scenario: Scenario = Scenario.THOUSAND, **changes: object) -> Plan:
    return Plan(target=TARGET, scenario=scenario, **changes)  # type: ignore[arg-type] # kwargs of many types


def test_thousand_takes_one_cluster_after_the_other() -> None:
    thousand = plan(concurrency=64)
    assert [[each.name for each in group] for group in thousand.passes] == [
        ["cluster1"],
        ["cluster2"],
    ]
    options = k6_options(thousand, thousand.passes[0])
    assert options["scenarios"]["cluster1"] == {
        "executor": "shared-iterations",
        "vus": 64,
        "iterations": 1000,
        "maxDuration": "120000ms",
        "gracefulStop": "5000ms",
        "env": {"URL": f"{TARGET}/cluster1"},
    }


def test_a_thousand_at_once_are_one_request_each() -> None:
    options = k6_options(plan(concurrency=1000), DEFAULT_CLUSTERS[:1])
    assert options["scenarios"]["cluster1"]["executor"] == "per-vu-iterations"
    assert options["scenarios"]["cluster1"]["iterations"] == 1


def test_more_users_than_requests_are_not_asked_for() -> None:
    assert plan(concurrency=64, requests=10).users_per_cluster == 10


@pytest.mark.parametrize("scenario", [each for each in Scenario if not each.closed_loop])
def test_rates_load_all_clusters_at_once_and_always_have_thresholds(scenario: Scenario) -> None:
    rated = plan(scenario, rate_per_s=0.5)
    assert rated.passes == (DEFAULT_CLUSTERS,)
    options = k6_options(rated, rated.passes[0])
    for name in ("cluster1", "cluster2"):
        assert options["thresholds"][f"checks{{scenario:{name}}}"] == ["rate>=1"]
        assert options["thresholds"][f"http_req_failed{{scenario:{name}}}"] == ["rate<=0"]
        made = options["scenarios"][name]
        assert made["timeUnit"] == "1m"
        top = made.get("rate") or max(stage["target"] for stage in made["stages"])
        assert top == 30  # half a request a second survives k6's whole numbers
        assert made["preAllocatedVUs"] == made["maxVUs"]


def test_limits_become_thresholds() -> None:
    options = k6_options(
        plan(p95_limit_ms=50, p99_limit_ms=200.5, error_limit=0.01), DEFAULT_CLUSTERS[:1]
    )
    assert options["thresholds"] == {
        "checks{scenario:cluster1}": ["rate>=0.99"],
        "http_req_failed{scenario:cluster1}": ["rate<=0.01"],
        "http_req_duration{scenario:cluster1,expected_response:true}": ["p(95)<50", "p(99)<200.5"],
    }


@pytest.mark.parametrize(
    ("scenario", "planned"),
    [
        (Scenario.STEADY, 6000),
        (Scenario.RAMP, 3840),
        (Scenario.SPIKE, 1788),
        (Scenario.SOAK, 120_000),
    ],
)
def test_the_number_of_requests_is_known_beforehand(scenario: Scenario, planned: int) -> None:
    assert plan(scenario, rate_per_s=200).planned_per_cluster == planned


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(PlanError) as caught:
        Plan(target="localhost:8000", clusters=(), concurrency=0, rate_per_s=-1, timeout_s=0)
    lines = str(caught.value).splitlines()
    assert [line.partition(":")[0].split()[0] for line in lines] == [
        "target",
        "clusters",
        "rate",
        "concurrency",
        "timeout",
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {"concurrency": 6000, "requests": 6000},
        {"scenario": Scenario.SOAK, "rate_per_s": 50_000.0},
        {"clusters": (ClusterLoad("a", "/a"), ClusterLoad("a", "/b"))},
        {"clusters": (ClusterLoad("a b", "/a"),)},
        {"clusters": (ClusterLoad("a", "a"),)},
    ],
)
def test_a_plan_is_bounded_and_named_well(changes: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        plan(**changes)  # type: ignore[arg-type] # kwargs of many types
