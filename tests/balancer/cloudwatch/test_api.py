"""The adapter against moto in process, and against an API that does not answer as it should."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from moto import mock_aws

from services.balancer.cloudwatch import api as cloudwatch_api
from services.balancer.cloudwatch.api import Api, CloudWatchError, NoCredentials
from services.balancer.cloudwatch.data import SHARES_A_CALL, metric_data
from services.balancer.cloudwatch.outbox import Minute, Share
from services.balancer.cloudwatch.tally import BUCKETS, Counts
from services.contract import CLOUDWATCH_NAMESPACE
from tests.stand.balancer import free_ports

REGION = "eu-west-1"
NOW = datetime.now(UTC)  # moto filters by the real time
MB = 1024 * 1024


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def cloud() -> Iterator[Any]:
    """CloudWatch of an emulated account."""
    with mock_aws():
        yield boto3.client("cloudwatch", REGION)


def a_minute(clusters: int, count: int = 1) -> Minute:
    def share() -> Share:
        big = 10**9 * count
        return Share(Counts(big, big, big, big, [count] * BUCKETS), big, big)

    return Minute(NOW.timestamp(), {f"{n:063d}": share() for n in range(clusters)})


def test_what_is_put_can_be_got(cloud: Any) -> None:
    counts = Counts(requests=10, errors_5xx=2, latency=[0, 4, *[0] * (BUCKETS - 2)])
    Api(REGION).put(
        CLOUDWATCH_NAMESPACE,
        metric_data(Minute(NOW.timestamp(), {"c": Share(counts, 3, 1)}), "demo"),
    )

    def got(name: str, *statistics: str) -> dict[str, Any]:
        (point,) = cloud.get_metric_statistics(
            Namespace=CLOUDWATCH_NAMESPACE,
            MetricName=name,
            Dimensions=[
                {"Name": "Deployment", "Value": "demo"},
                {"Name": "Cluster", "Value": "c"},
            ],
            StartTime=NOW - timedelta(minutes=2),
            EndTime=NOW + timedelta(minutes=2),
            Period=300,
            Statistics=statistics,
        )["Datapoints"]
        return {statistic: point[statistic] for statistic in statistics}

    assert got("Requests", "Sum") == {"Sum": 10.0}
    assert got("Errors5xx", "Sum") == {"Sum": 2.0}
    assert got("HealthyHosts", "Minimum") == {"Minimum": 3.0}
    assert got("Latency", "SampleCount", "Average") == {"SampleCount": 4.0, "Average": 0.75}


def test_a_full_call_keeps_the_apis_limits() -> None:
    data = metric_data(a_minute(SHARES_A_CALL, 10**6), "d" * 255)
    assert len(data) <= 1000
    assert all(len(datum.get("Values", ())) <= 150 for datum in data)
    assert len(json.dumps(data, default=str)) < MB  # botocore speaks JSON here, and packs it


def test_a_full_call_is_taken(cloud: Any) -> None:
    Api(REGION).put(CLOUDWATCH_NAMESPACE, metric_data(a_minute(SHARES_A_CALL), "demo"))
    pages = cloud.get_paginator("list_metrics").paginate(Namespace=CLOUDWATCH_NAMESPACE)
    found = {(m["MetricName"], str(m["Dimensions"])) for page in pages for m in page["Metrics"]}
    assert len(found) == 7 * SHARES_A_CALL


def put_cpu(cloud: Any, instance: str, percent: float, minutes_ago: float) -> None:
    datum = {
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": "InstanceId", "Value": instance}],
        "Timestamp": NOW - timedelta(minutes=minutes_ago),
        "Value": percent,
        "Unit": "Percent",
    }
    cloud.put_metric_data(Namespace="AWS/EC2", MetricData=[datum])


def test_the_newest_cpu_of_each_machine(cloud: Any) -> None:
    put_cpu(cloud, "i-00000001", 80.0, 4)
    put_cpu(cloud, "i-00000001", 40.0, 2)
    put_cpu(cloud, "i-00000002", 100.5, 3)
    put_cpu(cloud, "i-00000003", 7.0, 30)  # too old to be worth anything
    asked = ["i-00000001", "i-00000002", "i-00000003", "i-00000004"]
    assert Api(REGION).cpu(asked, NOW) == {"i-00000001": 0.4, "i-00000002": 1.0}


def test_many_machines_are_one_call_for_each_five_hundred(
    cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        put_cpu(cloud, f"i-0000000{number}", 10.0 * number, 2)
    monkeypatch.setattr(cloudwatch_api, "QUERIES", 2)
    api, calls = Api(REGION), []
    api._ask().meta.events.register("before-call.*.GetMetricData", lambda **k: calls.append(k))
    found = api.cpu([f"i-0000000{number}" for number in range(5)], NOW)
    assert found == {f"i-0000000{number}": number / 10 for number in range(5)}
    assert len(calls) == 3


class Refusing:
    """A client whose calls end in an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def put_metric_data(self, **_: Any) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("Throttling", True),
        ("InternalServiceFault", True),
        ("ExpiredToken", True),  # the role's next one is on its way
        ("AccessDenied", True),  # somebody may allow it
        ("InvalidParameterValue", False),
    ],
)
def test_what_may_be_repeated(code: str, again: bool) -> None:
    api = Api(REGION)
    api._client = Refusing(ClientError({"Error": {"Code": code}}, "PutMetricData"))
    with pytest.raises(CloudWatchError, match=f"PutMetricData: {code}") as caught:
        api.put("n", [])
    assert caught.value.again is again
    assert not isinstance(caught.value, NoCredentials)


def test_no_network_is_one_line() -> None:
    api = Api(REGION)
    api._client = Refusing(EndpointConnectionError(endpoint_url="https://nowhere.invalid/"))
    with pytest.raises(CloudWatchError, match=r"^eu-west-1: Could not connect.*$"):
        api.put("n", [])


def test_no_credentials_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    api = Api(REGION)
    with pytest.raises(NoCredentials):
        api.put("n", [])
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(CloudWatchError, match="Could not connect"):
        api.put("n", [])  # looked for again
