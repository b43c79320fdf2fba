"""CPU to CloudWatch: what a minute says, what waits, and that nothing waits for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from moto import mock_aws

from services import contract
from services.worker.cloudwatch import (
    MOST_MINUTES,
    REST_S,
    Api,
    CloudWatchError,
    CpuPublisher,
    Datum,
    NoCredentials,
    dimensions,
)
from services.worker.cpu import CpuCounters, CpuGauge
from services.worker.log import LineLog
from services.worker.settings import SettingsError, read_settings

WHOSE = dimensions("demo", "cluster1", "i-0123456789abcdef0")


class Machine:
    """A quarter busy, a tenth of it stolen."""

    name = "fake"

    def read(self, now_s: float) -> CpuCounters:
        return CpuCounters(now_s * 0.25, now_s, now_s * 0.1, now_s)


class Cloud:
    """Takes data, or raises what it is told to."""

    def __init__(self) -> None:
        self.calls: list[list[Datum]] = []
        self.error: Exception | None = None

    def __call__(self, data: list[Datum]) -> None:
        self.calls.append(data)
        if self.error is not None:
            raise self.error


class Heard(LineLog):
    """Keeps events instead of writing them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []

    def event(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def log() -> Heard:
    return Heard()


@pytest.fixture
def publisher(cloud: Cloud, log: Heard) -> CpuPublisher:
    made = CpuPublisher(
        CpuGauge(Machine()), cloud, whose=WHOSE, interval_s=60.0, log=log, rng=Random(1)
    )
    made.sample(0.0, 1e9)
    return made


async def test_a_minute_is_the_mean_of_its_time_in_the_contracts_words(
    publisher: CpuPublisher, cloud: Cloud
) -> None:
    assert publisher.waiting == 0  # one reading is no window yet
    publisher.sample(60.0, 1e9)
    await publisher.send(60.0)
    ((cpu, steal),) = cloud.calls
    assert (cpu["MetricName"], steal["MetricName"]) == (
        contract.CLOUDWATCH_CPU,
        contract.CLOUDWATCH_STEAL,
    )
    assert (cpu["Value"], steal["Value"]) == pytest.approx((25.0, 10.0))
    assert {datum["Unit"] for datum in (cpu, steal)} == {"Percent"}
    names = [pair["Name"] for pair in cpu["Dimensions"]]
    assert names == [
        contract.DIMENSION_DEPLOYMENT,
        contract.DIMENSION_CLUSTER,
        contract.DIMENSION_INSTANCE,
    ]
    assert publisher.waiting == 0


async def test_what_was_not_taken_goes_with_the_next_and_pauses_grow(
    publisher: CpuPublisher, cloud: Cloud, log: Heard
) -> None:
    cloud.error = CloudWatchError("PutMetricData: Throttling")
    for minute in range(1, 31):
        publisher.sample(minute * 60.0, 1e9 + minute * 60)
        await publisher.send(minute * 60.0)
    assert publisher.waiting == 30
    assert 3 <= len(cloud.calls) <= 10  # half an hour of pauses that double, up to ten minutes
    assert log.names == ["cloudwatch does not answer"]  # once, not at each try
    cloud.error = None
    await publisher.send(31 * 60.0 + REST_S)
    stamps = [datum["Timestamp"].timestamp() for datum in cloud.calls[-1]]
    assert stamps == [1e9 + minute * 60 for minute in range(1, 31) for _ in range(2)]
    assert publisher.waiting == 0
    assert log.names[-1] == "cloudwatch takes data again"


def test_what_waits_is_bounded(publisher: CpuPublisher) -> None:
    for minute in range(1, 2 * MOST_MINUTES):
        publisher.sample(minute * 60.0, 1e9)
    assert publisher.waiting == MOST_MINUTES


async def test_what_is_refused_for_good_is_not_sent_again(
    publisher: CpuPublisher, cloud: Cloud, log: Heard
) -> None:
    cloud.error = CloudWatchError("PutMetricData: InvalidParameterValue", again=False)
    publisher.sample(60.0, 1e9)
    await publisher.send(60.0)
    assert publisher.waiting == 0
    assert log.names == ["cloudwatch refused"]


async def test_without_credentials_it_is_off_and_says_so_once(
    publisher: CpuPublisher, cloud: Cloud, log: Heard
) -> None:
    cloud.error = NoCredentials("no AWS credentials")
    for minute in range(1, 25):
        publisher.sample(minute * 60.0, 1e9)
        await publisher.send(minute * 60.0)
    assert log.events == [("cloudwatch off", {"reason": "no AWS credentials"})]
    assert len(cloud.calls) == 3  # at once, then every ten minutes
    assert publisher.waiting == 0
    cloud.error = None  # the machine was given a role
    await publisher.send(40 * 60.0)
    publisher.sample(41 * 60.0, 1e9)
    await publisher.send(41 * 60.0)
    assert len(cloud.calls[-1]) == 2


async def test_a_call_that_hangs_delays_neither_the_loop_nor_the_end(log: Heard) -> None:
    entered, release = threading.Event(), threading.Event()

    def hang(data: list[Datum]) -> None:
        entered.set()
        release.wait(30)

    publisher = CpuPublisher(
        CpuGauge(Machine()), hang, whose=WHOSE, interval_s=60.0, log=log, rng=Random(1)
    )
    publisher.sample(0.0, 1e9)
    publisher.sample(60.0, 1e9)
    try:
        sending = asyncio.create_task(publisher.send(60.0))
        assert await asyncio.to_thread(entered.wait, 10)
        assert not sending.done()
        sending.cancel()
        await asyncio.wait({sending})
        await publisher.close(deadline_s=0.01)
        assert publisher.waiting
        assert log.names == ["cloudwatch not told"]
    finally:
        release.set()


async def test_the_last_minute_is_sent_at_the_end(publisher: CpuPublisher, cloud: Cloud) -> None:
    cloud.error = CloudWatchError("no network")
    publisher.sample(60.0, 1e9)
    await publisher.send(60.0)
    cloud.error = None
    await publisher.close()  # though a pause is on
    assert [datum["MetricName"] for datum in cloud.calls[-1]][:2] == ["CPU", "Steal"]
    assert publisher.waiting == 0


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with mock_aws():
        yield boto3.client("cloudwatch", region_name="eu-west-1")


async def test_the_service_takes_it(account: Any, log: Heard) -> None:
    publisher = CpuPublisher(
        CpuGauge(Machine()),
        Api("eu-west-1"),
        whose=WHOSE,
        interval_s=60.0,
        log=log,
        rng=Random(1),
    )
    publisher.sample(0.0, time.time())
    publisher.sample(60.0, time.time())
    await publisher.send(60.0)
    assert log.events == []
    kept = account.list_metrics(Namespace=contract.CLOUDWATCH_NAMESPACE)["Metrics"]
    assert {metric["MetricName"] for metric in kept} == {"CPU", "Steal"}
    assert kept[0]["Dimensions"] == WHOSE


def test_nobody_without_credentials_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(NoCredentials):
        Api("eu-west-1")([])


def test_an_unreachable_service_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDWATCH", "http://127.0.0.1:1")  # nobody listens
    with pytest.raises(CloudWatchError, match=r"^eu-west-1: ") as caught:
        Api("eu-west-1")([{"MetricName": "CPU", "Value": 1.0}])
    assert caught.value.again
    assert "\n" not in str(caught.value)


def test_it_needs_a_region() -> None:
    with pytest.raises(SettingsError, match=r"AWS_REGION.*CLOUDWATCH_DEPLOYMENT needs a region"):
        read_settings({contract.ENV_CLOUDWATCH: "demo"})
    assert read_settings({}).cloudwatch == ""
