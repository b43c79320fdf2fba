"""Alarms that watch, and metrics read as CloudWatch reads them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator.localcloud.alarms import state_of
from orchestrator.localcloud.metric_data import arithmetic
from tests.orchestrator.localcloud.cloud import BEGUN, REGION, Cloud


@pytest.mark.parametrize(
    ("breaches", "needed", "missing", "state"),
    [
        ([True, True, False], 2, "missing", "ALARM"),
        ([True, False, False], 2, "missing", "OK"),
        ([None, None, None], 2, "missing", "INSUFFICIENT_DATA"),
        ([None, None, None], 2, "ignore", "before"),
        ([None, None, None], 2, "breaching", "ALARM"),
        ([True, True, None], 3, "notBreaching", "OK"),
        ([True, True, None], 2, "missing", "ALARM"),
    ],
)
def test_the_state_of_the_last_periods(
    breaches: list[bool | None], needed: int, missing: str, state: str
) -> None:
    assert state_of(breaches, needed, missing, "before") == state


def test_arithmetic_knows_the_four_operations_alone() -> None:
    assert arithmetic("100 * m1 / (m1 + m2)", {"m1": 1, "m2": 3}) == 25
    assert arithmetic("m1 / m2", {"m1": 1, "m2": 0}) is None
    assert arithmetic("m1 / m2", {"m1": 1}) is None
    for wrong in ("SEARCH('x')", "m1 ** 2", "m1 +"):
        with pytest.raises(ValueError, match="not served"):
            arithmetic(wrong, {"m1": 1})


def _put(cloud: Cloud, name: str, value: float | None = None, **given: Any) -> None:
    datum = {"MetricName": name, "Timestamp": datetime.fromtimestamp(cloud.wall_s, UTC), **given}
    if value is not None:
        datum["Value"] = value
    cloud.call("cloudwatch", "put_metric_data", Namespace="Steelyard", MetricData=[datum])


def _alarm(cloud: Cloud, topic: str, **changes: Any) -> None:
    cloud.call(
        "cloudwatch",
        "put_metric_alarm",
        **{
            "AlarmName": "errors",
            "Namespace": "Steelyard",
            "MetricName": "errors",
            "Statistic": "Sum",
            "Period": 60,
            "EvaluationPeriods": 2,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            "AlarmActions": [topic],
            "OKActions": [topic],
            **changes,
        },
    )


def _state(cloud: Cloud) -> str:
    (alarm,) = cloud.call("cloudwatch", "describe_alarms")["MetricAlarms"]
    return str(alarm["StateValue"])


def _told(cloud: Cloud, topic: str) -> list[str]:
    sent = cloud.world.backend("sns").topics[topic].sent_notifications
    return [json.loads(message)["NewStateValue"] for _, message, *_ in sent]


def test_an_alarm_follows_its_metric_and_tells_sns(cloud: Cloud) -> None:
    topic = cloud.call("sns", "create_topic", Name="alarms")["TopicArn"]
    _alarm(cloud, topic)
    assert _state(cloud) == "INSUFFICIENT_DATA"
    cloud.after()
    assert _state(cloud) == "INSUFFICIENT_DATA"
    for _ in range(2):
        _put(cloud, "errors", 9)
        cloud.after(60)
    assert _state(cloud) == "ALARM"
    _alarm(cloud, topic, Threshold=6)
    assert _state(cloud) == "ALARM"
    _put(cloud, "errors", 1)
    cloud.after(60)
    assert _state(cloud) == "OK"
    assert _told(cloud, topic) == ["OK", "ALARM", "OK"]  # one datum was not enough at first


def test_on_a_fast_clock_what_comes_once_a_real_minute_is_not_missing(cloud: Cloud) -> None:
    topic = cloud.call("sns", "create_topic", Name="alarms")["TopicArn"]
    _alarm(cloud, topic, EvaluationPeriods=3)
    cloud.world.clock.scale = 20
    _put(cloud, "errors", 9)
    for _ in range(4):
        cloud.after(3)
    assert _state(cloud) == "ALARM"


def test_an_alarm_on_a_ratio(cloud: Cloud) -> None:
    topic = cloud.call("sns", "create_topic", Name="alarms")["TopicArn"]
    metrics = [
        {
            "Id": name,
            "ReturnData": False,
            "MetricStat": {
                "Metric": {"Namespace": "Steelyard", "MetricName": name},
                "Period": 60,
                "Stat": "Sum",
            },
        }
        for name in ("errors", "requests")
    ]
    ratio = {"Id": "ratio", "Expression": "100 * errors / requests", "ReturnData": True}
    given: dict[str, Any] = {
        "AlarmName": "ratio",
        "Metrics": [*metrics, ratio],
        "EvaluationPeriods": 1,
        "Threshold": 5,
        "ComparisonOperator": "GreaterThanThreshold",
        "AlarmActions": [topic],
    }
    cloud.call("cloudwatch", "put_metric_alarm", **given)
    _put(cloud, "requests", 100)
    _put(cloud, "errors", 6)
    cloud.after(1)
    assert _state(cloud) == "ALARM"


def _read(cloud: Cloud, stat: str, **metric: Any) -> list[float]:
    (result,) = cloud.call(
        "cloudwatch",
        "get_metric_data",
        StartTime=datetime.fromtimestamp(BEGUN - 60, UTC),
        EndTime=datetime.fromtimestamp(BEGUN + 600, UTC),
        ScanBy="TimestampAscending",
        MetricDataQueries=[
            {
                "Id": "m1",
                "MetricStat": {
                    "Metric": {"Namespace": "Steelyard", "MetricName": "latency", **metric},
                    "Period": 60,
                    "Stat": stat,
                },
            }
        ],
    )["MetricDataResults"]
    return list(result["Values"])


def test_percentiles_of_values_with_counts(cloud: Cloud) -> None:
    _put(cloud, "latency", Values=[10.0, 20.0, 1000.0], Counts=[90, 9, 1])
    assert _read(cloud, "p50") == [10]
    assert _read(cloud, "p99") == [pytest.approx(29.8)]
    assert _read(cloud, "Maximum") == [1000]
    assert _read(cloud, "SampleCount") == [100]
    with pytest.raises(ClientError, match="not served"):
        _read(cloud, "tm99")


def test_a_metric_is_exactly_its_dimensions(cloud: Cloud) -> None:
    cluster = [{"Name": "cluster", "Value": "one"}]
    _put(cloud, "latency", 1)
    _put(cloud, "latency", 2, Dimensions=cluster)
    assert _read(cloud, "Sum") == [1]
    assert _read(cloud, "Sum", Dimensions=cluster) == [2]
    assert _read(cloud, "Sum", Dimensions=[{"Name": "cluster", "Value": REGION}]) == []
