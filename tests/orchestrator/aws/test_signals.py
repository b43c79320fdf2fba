"""Alarms, dashboard and budget: what is asked of AWS, in whose words, and what is left of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from orchestrator.deploy.kill import kill
from orchestrator.deploy.signals import dashboard, signals
from services import contract
from tests.orchestrator.aws.account import REGION, SETTINGS, WHOLE, Account, changed
from tests.orchestrator.aws.test_interrupted import until_done

MORE = """ttl: 4h
alarms: {email: a@example.org, errors_percent: 2}
budget: {usd_month: 20, email: a@example.org}"""
NAMES = {
    value for name, value in vars(contract).items() if re.match(r"CLOUDWATCH_[A-Z0-9_]+$", name)
}
DIMENSIONS = {value for name, value in vars(contract).items() if name.startswith("DIMENSION_")}
ALL = WHOLE + type(WHOLE)({"topic": 1, "alarm": 8, "budget": 1})


def watched() -> Any:
    return changed(**{"ttl: 4h": MORE})


def alarms() -> dict[str, dict[str, Any]]:
    return {
        want.key.name: want.spec["alarm"]
        for want in signals(watched(), "123456789012")
        if want.key.kind == "alarm"
    }


def stats() -> Iterator[dict[str, Any]]:
    for alarm in alarms().values():
        for one in alarm["Metrics"]:
            if "MetricStat" in one:
                yield one["MetricStat"]


def test_alarms_read_exactly_the_contract_s_names() -> None:
    ours = [s["Metric"] for s in stats() if s["Metric"]["Namespace"] != "AWS/AutoScaling"]
    assert {metric["Namespace"] for metric in ours} == {contract.CLOUDWATCH_NAMESPACE}
    assert {metric["MetricName"] for metric in ours} == {
        contract.CLOUDWATCH_REQUESTS,
        contract.CLOUDWATCH_ERRORS_5XX,
        contract.CLOUDWATCH_LATENCY,
        contract.CLOUDWATCH_HEALTHY,
    }
    for metric in ours:
        names = [dimension["Name"] for dimension in metric["Dimensions"]]
        assert names == [contract.DIMENSION_DEPLOYMENT, contract.DIMENSION_CLUSTER]
    (query,) = alarms()["cluster1-cpu"]["Metrics"]
    assert query["Expression"] == (
        'SELECT MAX(CPU) FROM SCHEMA("Steelyard", Deployment, Cluster, InstanceId)'
        " WHERE Deployment = 'demo' AND Cluster = 'cluster1'"
    )


def test_the_dashboard_shows_every_metric_of_the_contract_and_no_other() -> None:
    shown: set[str] = set()
    for widget in dashboard(watched())["widgets"]:
        for metric in widget["properties"]["metrics"]:
            if isinstance(metric[0], dict):
                search = metric[0]["expression"]
                shown |= set(re.findall(r'MetricName="(\w+)"', search))
                (schema,) = re.findall(r"\{(.*?)\}", search)
                assert schema.split(",")[0] == contract.CLOUDWATCH_NAMESPACE
                assert set(schema.split(",")[1:]) == DIMENSIONS
            else:
                assert metric[0] == contract.CLOUDWATCH_NAMESPACE
                assert metric[2::2][:2] == [
                    contract.DIMENSION_DEPLOYMENT,
                    contract.DIMENSION_CLUSTER,
                ]
                shown.add(metric[1])
    period = contract.CLOUDWATCH_PERIOD_S
    assert shown == NAMES - {contract.CLOUDWATCH_NAMESPACE, period}


def test_one_query_of_an_alarm_is_its_value() -> None:
    for alarm in alarms().values():
        assert sum(one["ReturnData"] for one in alarm["Metrics"]) == 1


def test_up_again_changed_and_down(account: Account) -> None:
    account.deployment = watched()
    account.up()
    assert account.things() == ALL
    assert account.up().changes == ()
    (topic,) = account.aws.call("sns", "list_topics")["Topics"]
    (told,) = account.aws.call("sns", "list_subscriptions")["Subscriptions"]
    assert (told["Protocol"], told["Endpoint"]) == ("email", "a@example.org")
    found = account.aws.call("cloudwatch", "describe_alarms")["MetricAlarms"]
    assert {action for one in found for action in one["AlarmActions"]} == {topic["TopicArn"]}

    account.deployment = changed(
        **{"ttl: 4h": MORE.replace("percent: 2", "percent: 3").replace("20", "30")}
    )
    assert [(step.action, str(step.key)) for step in account.up().changes] == [
        ("change", "alarm cluster1-errors"),
        ("change", "alarm cluster2-errors"),
        ("replace", "budget month"),
    ]
    assert account.up().changes == ()
    assert account.things() == ALL

    account.deployment = changed(**{"ttl: 4h": "ttl: 4h\ndashboard: false"})
    gone = {step.key.kind for step in account.up().changes if step.action == "delete"}
    assert gone == {"topic", "alarm", "dashboard", "budget"}
    account.down()
    assert account.things() == {}


def test_the_budget_counts_this_deployment_and_tells_three_times(account: Account) -> None:
    account.deployment = watched()
    account.up()
    (budget,) = account.aws.call("budgets", "describe_budgets", AccountId="123456789012")["Budgets"]
    assert budget["CostFilters"] == {"TagKeyValue": ["user:steelyard:deployment$demo"]}
    notes = account.aws.call(
        "budgets",
        "describe_notifications_for_budget",
        AccountId="123456789012",
        BudgetName=budget["BudgetName"],
    )["Notifications"]
    assert sorted((n["NotificationType"], n["Threshold"]) for n in notes) == [
        ("ACTUAL", 80),
        ("ACTUAL", 100),
        ("FORECASTED", 100),
    ]


def test_killed_at_every_call_that_makes_or_deletes_them(account: Account) -> None:
    one = "".join(line for line in SETTINGS.splitlines(True) if "cluster2" not in line)
    without = changed(one, **{"ttl: 4h": "ttl: 4h\ndashboard: false"})
    account.deployment = without
    account.up()
    before = account.things()
    account.deployment = changed(one, **{"ttl: 4h": MORE})
    assert until_done(account, account.up) > 30
    more = {"topic": 1, "alarm": 4, "dashboard": 1, "budget": 1}
    assert account.things() == before + type(before)(more)
    assert account.up().changes == ()
    account.deployment = without
    assert until_done(account, account.up) > 10
    assert account.things() == before


def test_others_are_left_alone(account: Account) -> None:
    """Names that begin like ours, and another deployment's."""
    call, body = account.aws.call, json.dumps({"widgets": []})
    call(
        "cloudwatch", "put_dashboard", DashboardName=f"steelyard-mine-{REGION}", DashboardBody=body
    )
    call("sns", "create_topic", Name="steelyard-demo-mine")
    account.deployment = changed(**{"name: demo": "name: demo-two", "ttl: 4h": MORE})
    account.up()
    two = account.things()
    account.folder /= "another"  # each deployment has its journal
    account.folder.mkdir()
    account.deployment = watched()
    account.up()
    account.down()
    assert account.things() == two
    kill(account.aws, [REGION], account.told.append, account.around.patience)
    assert account.things() == {}
    (left,) = call("cloudwatch", "list_dashboards")["DashboardEntries"]
    assert left["DashboardName"] == f"steelyard-mine-{REGION}"
    (topic,) = call("sns", "list_topics")["Topics"]
    assert topic["TopicArn"].endswith(":steelyard-demo-mine")
