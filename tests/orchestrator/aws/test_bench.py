"""The benchmark of a deployment: its fronts, CPU of its machines, one report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner
from typer.testing import Result as Ended

import loadtest
from loadtest import Plan, TargetUnreachable
from loadtest.result import Result, read_result
from loadtest.verdict import Outcome, Verdict
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.commands import app
from orchestrator.deploy import bench as work
from orchestrator.deploy.commands import measure
from orchestrator.deploy.fronts import Front, fronts_of
from orchestrator.deploy.machine_cpu import METRIC, NAMESPACE, Span, fetch, wait_fetched
from orchestrator.deploy.members import Machine, Members
from orchestrator.deploy.resource import Found, Key
from tests.loadtest.made import cluster, result
from tests.orchestrator.aws.account import SETTINGS, Account, session
from tests.stand.proc import PATIENCE_S

BEGAN_S = int(datetime(2026, 1, 1, 0, 0, 30, tzinfo=UTC).timestamp())  # in the middle of a minute
MINUTE_S = BEGAN_S + 30
ALB = Found(
    key=Key("load balancer", "front"),
    ident="arn:1",
    about={"dns": "alb.example.com", "type": "application"},
)

ADDRESS = Found(key=Key("address", "front"), ident="eipalloc-1", about={"ip": "203.0.113.9"})


def put(ident: str, *points: tuple[int, float]) -> None:
    """Percent by seconds since the epoch."""
    session().client("cloudwatch").put_metric_data(
        Namespace=NAMESPACE,
        MetricData=[
            {
                "MetricName": METRIC,
                "Dimensions": [{"Name": "InstanceId", "Value": ident}],
                "Value": value,
                "Unit": "Percent",
                "Timestamp": datetime.fromtimestamp(at_s, UTC),
            }
            for at_s, value in points
        ],
    )


def machine(ident: str, resource: str) -> Machine:
    return Machine(
        ident=ident,
        resource=resource,
        cluster="" if resource == "balancer" else resource,
        state="running",
        **dict.fromkeys(
            ("host", "public", "lifecycle", "health", "version", "template", "launched"), ""
        ),
    )


MACHINES = (machine("i-0", "balancer"), machine("i-1", "cluster1"), machine("i-2", "cluster2"))


def test_fronts_are_found_ours_first() -> None:
    network = dataclasses.replace(ALB, about={"dns": "nlb.example.com", "type": "network"})
    role = Found(key=Key("role", "worker"), ident="r")
    assert fronts_of([ALB, role, network, ADDRESS]) == [
        Front("balancer", "203.0.113.9"),
        Front("nlb", "nlb.example.com"),
        Front("alb", "alb.example.com"),
    ]
    assert [each.called(local=True) for each in fronts_of([ALB, ADDRESS])] == [
        "balancer",
        "stand-in for alb",
    ]


def test_periods_that_a_run_only_touches_say_nothing_of_it() -> None:
    assert list(Span(30, 200).whole(60)) == [60, 120]
    assert list(Span(60, 180).whole(60)) == [60, 120]
    assert list(Span(61, 179).whole(60)) == []


def test_one_call_fetches_all_machines(account: Account) -> None:
    put("i-1", (MINUTE_S + 10, 20), (MINUTE_S + 20, 40), (MINUTE_S + 60, 90))
    put("i-2", (MINUTE_S, 5))
    account.calls.clear()
    found = fetch(account.aws, ["i-1", "i-2", "i-3"], Span(BEGAN_S, BEGAN_S + 180), 60)
    assert found == {"i-1": {MINUTE_S: 30, MINUTE_S + 60: 90}, "i-2": {MINUTE_S: 5}, "i-3": {}}
    assert [call.operation for call in account.calls] == ["get_metric_data"]


def test_more_machines_than_a_call_may_name(account: Account) -> None:
    names = [f"i-{at}" for at in range(501)]
    put("i-500", (MINUTE_S, 7))
    account.calls.clear()
    found = fetch(account.aws, names, Span(BEGAN_S, BEGAN_S + 90), 60)
    assert found["i-500"] == {MINUTE_S: 7}
    assert len(account.calls) == 2


def test_the_last_period_is_waited_for(account: Account) -> None:
    put("i-1", (MINUTE_S, 20))
    told: list[str] = []

    def late(line: str) -> None:
        told.append(line)
        put("i-1", (MINUTE_S + 60, 50))

    found = wait_fetched(
        account.aws,
        ["i-1"],
        [Span(BEGAN_S, BEGAN_S + 170)],
        period_s=60,
        report=late,
        patience=Patience(PATIENCE_S, 0),
    )
    assert told == ["CPU from CloudWatch: 1 of 1 machines have no figure yet"]
    assert found == {"i-1": {MINUTE_S: 20, MINUTE_S + 60: 50}}


def test_a_machine_without_figures_ends_the_wait_and_is_named(account: Account) -> None:
    gone, *others = MACHINES
    for one in others:
        put(one.ident, (MINUTE_S, 20), (MINUTE_S + 60, 40))
    taken = work.Taken(
        front=Front("balancer", "h"), folder=account.folder, result=timed(), machines=MACHINES
    )
    told: list[str] = []
    metering = work.Metering(period_s=60, patience=Patience(0, 0))
    (done,) = work.with_cpu(account.aws, [taken], metering, told.append)
    assert f"none of {gone.ident}" in done.result.cpu_words
    assert "going on with what there is" in told[-1]
    assert {r.at_s for r in done.result.cpu} == {30, 90}
    assert read_result(account.folder).cpu == done.result.cpu


def test_a_refusal_of_cloudwatch_is_told(account: Account) -> None:
    def refuse(call: object, _phase: object) -> bool:
        if "get_metric_data" in str(call):
            raise CloudError("cloudwatch", "no", code="AccessDenied")
        return False

    account.stop = refuse
    with pytest.raises(CloudError, match="no"):
        wait_fetched(
            account.aws,
            ["i-1"],
            [Span(BEGAN_S, BEGAN_S + 170)],
            period_s=60,
            report=account.told.append,
            patience=Patience(PATIENCE_S, 0),
        )


def timed(**changes: object) -> Result:
    began = datetime.fromtimestamp(BEGAN_S, UTC).isoformat(timespec="seconds")
    return result(**{"began_at": began, "wall_s": 170.0, "cpu": (), "cpu_words": ""} | changes)


Run = Callable[..., Ended]


@pytest.fixture
def run(account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command, on a deployment with two fronts and no k6; CPU of its machines is known."""
    monkeypatch.setattr(work, "members", lambda _aws, _scope: Members((), MACHINES))
    for at, one in enumerate(MACHINES):
        put(one.ident, (MINUTE_S, 20 + at), (MINUTE_S + 60, 40 + at))

    def took(plan: Plan, folder: Path, **_: object) -> Result:
        folder.mkdir(parents=True)
        clusters = tuple(cluster(each.name) for each in plan.clusters)
        return timed(plan=plan, clusters=clusters)

    file = tmp_path / "deploy.yaml"
    file.write_text(SETTINGS)
    monkeypatch.setattr(loadtest, "run", took)
    monkeypatch.setattr(measure, "find_all", lambda _aws, _scope: [ALB, ADDRESS])
    quick = work.Metering(period_s=60, patience=Patience(0, 0))
    monkeypatch.setattr(work, "AWS_METERING", quick)
    monkeypatch.setattr(work, "LOCAL_METERING", quick)
    monkeypatch.setenv("COLUMNS", "200")

    def typed(*arguments: str) -> Ended:
        place = ["-f", str(file), "--out", str(tmp_path / "out")]
        return CliRunner().invoke(app, ["bench", *place, *arguments])

    return typed


def test_both_fronts_side_by_side(run: Run, tmp_path: Path) -> None:
    ended = run("--scenario", "steady")
    assert ended.exit_code == 0, ended.output
    told = (tmp_path / "out" / "steady" / "compare.md").read_text()
    assert "| cluster | figure | balancer | alb | difference |" in told
    assert "| balancer | CPU i-0 % | 30 | 30 |" in told
    assert "local cloud" not in told
    assert "stand-in" not in told
    assert (tmp_path / "out" / "steady" / "report.html").exists()
    assert (tmp_path / "out" / "steady-alb" / "cluster1.json").exists()
    plan = read_result(tmp_path / "out" / "steady-alb").plan
    assert plan.target == "http://alb.example.com"
    assert plan.load_s == 180
    assert [(each.name, each.path) for each in plan.clusters] == [
        ("cluster1", "/cluster1"),
        ("cluster2", "/cluster2"),
    ]


def test_the_local_cloud_and_its_stand_in_are_called_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(measure, "is_local", lambda: True)
    ended = run()
    assert ended.exit_code == 0, ended.output
    for name in ("compare.md", "report.md", "compare.html", "report.html"):
        told = (tmp_path / "out" / "steady" / name).read_text()
        assert "local cloud" in told, name
    told = (tmp_path / "out" / "steady" / "compare.md").read_text()
    assert "| balancer | stand-in for alb | difference |" in told
    assert "| alb |" not in told
    assert "stand-in for alb: a stand-in answered" in told
    assert "stand-in for alb: a stand-in answered" in ended.output


def test_an_interrupted_run_is_the_last(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = []

    def stopped(plan: Plan, folder: Path, **_: object) -> Result:
        seen.append(plan.target)
        return timed(plan=plan, verdict=Verdict(Outcome.INTERRUPTED, ()))

    monkeypatch.setattr(loadtest, "run", stopped)
    assert run("--scenario", "steady", "--scenario", "ramp").exit_code == 130
    assert len(seen) == 1
    assert (tmp_path / "out" / "steady" / "report.md").exists()


def test_what_stands_in_the_way_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = run("--scenario", "stedy")
    assert wrong.exit_code == 1
    assert "thousand, steady, ramp" in wrong.stderr
    assert "rate: must be above 0" in run("--rate", "0").stderr

    def silent(*_: object, **__: object) -> Result:
        raise TargetUnreachable("nothing answers")

    monkeypatch.setattr(loadtest, "run", silent)
    assert "nothing answers" in run().stderr
    monkeypatch.setattr(measure, "find_all", lambda _a, _s: [])
    assert "no front was found" in run().stderr
