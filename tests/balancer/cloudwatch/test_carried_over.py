"""What the balancer publishes: arithmetic, what waits, and that nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import contract
from services.balancer.cloudwatch.api import CloudWatchError, NoCredentials
from services.balancer.cloudwatch.data import Datum, metric_data
from services.balancer.cloudwatch.distribution import MOST_VALUES, distribution
from services.balancer.cloudwatch.outbox import MOST_MINUTES, Minute, Outbox, Share
from services.balancer.cloudwatch.publish import Publisher
from services.balancer.cloudwatch.tally import BUCKETS, Counts
from services.balancer.ledger import LATENCY_BOUNDS_US, latency_bucket

histograms = st.lists(st.integers(0, 10**9), min_size=BUCKETS, max_size=BUCKETS)


@given(histograms)
def test_a_distribution_keeps_every_count_in_its_bucket(buckets: list[int]) -> None:
    values = distribution(buckets)
    assert len(values) <= MOST_VALUES
    assert all(count > 0 for count in values.values())
    again = [0] * BUCKETS
    first = latency_bucket(0)
    beyond_ms = LATENCY_BOUNDS_US[-1] / 1000
    for value_ms, count in values.items():
        beyond = value_ms == beyond_ms
        again[-1 if beyond else latency_bucket(round(value_ms * 1000)) - first] += count
    assert again == buckets


def minute(number: int, requests: int = 1) -> Minute:
    return Minute(60.0 * number, {"cluster1": Share(Counts(requests=requests), 2, 3)})


@given(st.integers(1, 4 * MOST_MINUTES))
def test_an_outbox_is_bounded_and_loses_no_count(minutes: int) -> None:
    outbox = Outbox()
    for number in range(minutes):
        outbox.add(minute(number))
        if number % 3 == 0 and (taken := outbox.take(25)) is not None:
            outbox.give_back(taken)
        assert len(outbox) <= MOST_MINUTES
    total = 0
    while (oldest := outbox.take(25)) is not None:
        total += oldest.shares["cluster1"].counts.requests
    assert total == minutes


def test_names_are_the_contracts() -> None:
    counts = Counts(requests=4, errors_4xx=1, errors_5xx=2, retries=3)
    counts.latency[3] = 4
    data = metric_data(Minute(60.0, {None: Share(counts), "cluster1": Share(counts, 5, 6)}), "demo")
    of_cluster = {d["MetricName"]: d for d in data if len(d["Dimensions"]) == 2}
    values = {name: datum.get("Value") for name, datum in of_cluster.items()}
    assert values == {
        contract.CLOUDWATCH_REQUESTS: 4,
        contract.CLOUDWATCH_ERRORS_4XX: 1,
        contract.CLOUDWATCH_ERRORS_5XX: 2,
        contract.CLOUDWATCH_RETRIES: 3,
        contract.CLOUDWATCH_HEALTHY: 5,
        contract.CLOUDWATCH_PENDING: 6,
        contract.CLOUDWATCH_LATENCY: None,
    }
    assert sum(of_cluster[contract.CLOUDWATCH_LATENCY]["Counts"]) == 4
    assert of_cluster[contract.CLOUDWATCH_REQUESTS]["Dimensions"] == [
        {"Name": contract.DIMENSION_DEPLOYMENT, "Value": "demo"},
        {"Name": contract.DIMENSION_CLUSTER, "Value": "cluster1"},
    ]


class Cloud:
    """Takes data, or raises, or hangs."""

    def __init__(self) -> None:
        self.taken: list[list[Datum]] = []
        self.calls = 0
        self.error: Exception | None = None
        self.hang = False

    async def send(self, data: list[Datum]) -> None:
        self.calls += 1
        if self.hang:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        self.taken.append(data)

    @property
    def requests(self) -> float:
        data = [datum for call in self.taken for datum in call]
        return float(sum(d["Value"] for d in data if d["MetricName"] == "Requests"))


def make(cloud: Cloud, now: list[float]) -> Publisher:
    return Publisher(
        cloud.send, deployment="demo", interval_s=60.0, rng=Random(1), clock=lambda: now[0]
    )


async def test_throttled_counts_are_carried_over(caplog: pytest.LogCaptureFixture) -> None:
    cloud, now = Cloud(), [0.0]
    publisher = make(cloud, now)
    cloud.error = CloudWatchError("PutMetricData: Throttling")
    for number in range(30):
        now[0] = 60.0 * number
        await publisher.round(minute(number, requests=7))
    assert 3 <= cloud.calls <= 10  # pauses double
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1
    cloud.error = None
    now[0] += 600.0
    await publisher.round(minute(30, requests=7))
    assert cloud.requests == 31 * 7


async def test_without_credentials_it_is_off(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    cloud, now = Cloud(), [0.0]
    publisher = make(cloud, now)
    cloud.error = NoCredentials("no AWS credentials")
    for number in range(20):
        now[0] = 60.0 * number
        await publisher.round(minute(number))
    assert cloud.calls == 2  # at once, and ten minutes later
    assert [record.getMessage() for record in caplog.records] == ["CloudWatch is off"]


async def test_an_end_waits_no_longer_than_it_says() -> None:
    cloud, now = Cloud(), [0.0]
    cloud.hang = True
    publisher = make(cloud, now)
    async with asyncio.timeout(10):
        await publisher.close(minute(1), 0.01)
    assert len(publisher.outbox) == 1
    cloud.hang = False
    await publisher.close(minute(2), 5.0)
    assert cloud.requests == 2


async def test_what_is_refused_for_good_is_not_sent_again() -> None:
    cloud, now = Cloud(), [0.0]
    publisher = make(cloud, now)
    cloud.error = CloudWatchError("InvalidParameterValue", again=False)
    await publisher.round(minute(1))
    assert not publisher.outbox
