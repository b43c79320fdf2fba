"""Patience: what was not taken waits, bounded; without credentials there is silence."""

from __future__ import annotations

import asyncio
import logging
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services import contract
from services.balancer.cloudwatch.api import CloudWatchError, NoCredentials
from services.balancer.cloudwatch.data import SHARES_A_CALL, metric_data
from services.balancer.cloudwatch.outbox import Minute, Outbox, Share
from services.balancer.cloudwatch.publish import MAX_PAUSE_S, Pace, Publisher
from services.balancer.cloudwatch.tally import BUCKETS, Counts
from services.balancer.config import CloudWatch
from tests.stand.proc import PATIENCE_S

THROTTLED = CloudWatchError("PutMetricData: Throttling")


class Cloud:
    """Takes data, or does not. `fault` is raised while it is set."""

    def __init__(self) -> None:
        self.calls: list[list[dict[str, Any]]] = []
        self.tries = 0
        self.fault: CloudWatchError | None = None
        self.hang: asyncio.Event | None = None
        self.asked = asyncio.Event()

    async def send(self, data: list[dict[str, Any]]) -> None:
        self.tries += 1
        self.asked.set()
        if self.hang is not None:
            await self.hang.wait()
        if self.fault is not None:
            raise self.fault
        self.calls.append(data)

    def sum(self, name: str, cluster: str = "c") -> float:
        place = {"Name": contract.DIMENSION_CLUSTER, "Value": cluster}
        found = [
            float(datum["Value"])
            for data in self.calls
            for datum in data
            if datum["MetricName"] == name and place in datum["Dimensions"]
        ]
        return sum(found)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stand:
    def __init__(self) -> None:
        self.cloud, self.clock = Cloud(), Clock()
        self.publisher = Publisher(
            self.cloud.send, deployment="d", interval_s=60.0, rng=Random(1), clock=self.clock
        )

    async def minute(self, requests: int = 1) -> None:
        self.clock.now += 60.0
        await self.publisher.round(minute(self.clock.now, requests))


def minute(at_s: float, requests: int = 1, clusters: int = 1) -> Minute:
    names = ["c", *(f"c{n}" for n in range(1, clusters))]
    return Minute(at_s, {name: Share(Counts(requests=requests), 3, 7) for name in names})


@pytest.fixture
def stand() -> Stand:
    return Stand()


# -- one minute ------------------------------------------------------------------------------------


def test_a_minute_in_the_contracts_words() -> None:
    latency = [0] * BUCKETS
    latency[1] = 2
    counts = Counts(requests=9, errors_4xx=1, errors_5xx=2, retries=3, latency=latency)
    data = metric_data(Minute(60.0, {"c": Share(counts, 4, 5), None: Share(Counts())}), "demo")
    both = [{"Name": "Deployment", "Value": "demo"}, {"Name": "Cluster", "Value": "c"}]
    mine = {d["MetricName"]: d for d in data if d["Dimensions"] == both}
    assert {name: d.get("Value") for name, d in mine.items()} == {
        contract.CLOUDWATCH_REQUESTS: 9.0,
        contract.CLOUDWATCH_ERRORS_4XX: 1.0,
        contract.CLOUDWATCH_ERRORS_5XX: 2.0,
        contract.CLOUDWATCH_RETRIES: 3.0,
        contract.CLOUDWATCH_HEALTHY: 4.0,
        contract.CLOUDWATCH_PENDING: 5.0,
        contract.CLOUDWATCH_LATENCY: None,
    }
    assert mine["Latency"]["Values"] == [0.625, 0.875]
    assert mine["Latency"]["Counts"] == [1.0, 1.0]
    assert mine["Latency"]["Unit"] == "Milliseconds"
    assert {d["Timestamp"].timestamp() for d in data} == {60.0}
    whole = {d["MetricName"] for d in data if d["Dimensions"] == both[:1]}
    assert whole == {"Requests", "Errors4xx", "Errors5xx", "Retries"}  # no latency: no requests
    assert len(data) == 7 + 4


def test_the_configurations_defaults_are_the_contracts() -> None:
    config = CloudWatch(deployment="d", region="eu-west-1")
    assert config.namespace == contract.CLOUDWATCH_NAMESPACE
    assert config.interval_s == contract.CLOUDWATCH_PERIOD_S


# -- the outbox ------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 100), st.booleans(), st.integers(1, 3)), max_size=60),
    st.integers(1, 5),
)
def test_whatever_is_given_back_every_count_arrives_once(
    steps: list[tuple[int, bool, int]], most: int
) -> None:
    """Minutes come, shares of the oldest are taken, and arrive or are given back; in between, new
    minutes push old ones together."""
    outbox, arrived, made = Outbox(most), 0, 0
    out: list[Minute] = []
    for number, (requests, arrives, clusters) in enumerate(steps):
        outbox.add(minute(60.0 * number, requests, clusters))
        made += requests * clusters
        taken = outbox.take(2)
        if taken is not None:
            out.append(taken)
        if out and arrives:
            arrived += sum(share.counts.requests for share in out.pop(0).shares.values())
        elif out:
            outbox.give_back(out.pop())
        assert len(outbox) <= most
    for lost in out:
        outbox.give_back(lost)
    while (taken := outbox.take(2)) is not None:
        arrived += sum(share.counts.requests for share in taken.shares.values())
    assert arrived == made


def test_older_counts_join_newer_gauges() -> None:
    outbox = Outbox(1)
    outbox.add(Minute(60.0, {"c": Share(Counts(requests=5), 1, 1), "gone": Share(Counts())}))
    outbox.add(Minute(120.0, {"c": Share(Counts(requests=2), 3, 0)}))
    taken = outbox.take(9)
    assert taken is not None
    assert taken.at_s == 120.0
    assert (taken.shares["c"].counts.requests, taken.shares["c"].healthy) == (7, 3)
    assert set(taken.shares) == {"c", "gone"}
    assert outbox.take(9) is None


# -- the publisher ---------------------------------------------------------------------------------


async def test_a_minute_is_one_call_and_many_clusters_are_several(stand: Stand) -> None:
    await stand.minute()
    assert len(stand.cloud.calls) == 1
    await stand.publisher.round(minute(2000.0, clusters=2 * SHARES_A_CALL + 1))
    assert [len(data) // 6 for data in stand.cloud.calls[1:]] == [SHARES_A_CALL, SHARES_A_CALL, 1]


async def test_throttled_counts_are_carried_over_with_their_own_minute(stand: Stand) -> None:
    stand.cloud.fault = THROTTLED
    for _ in range(4):
        await stand.minute(requests=10)
    stand.cloud.fault = None
    for _ in range(20):
        await stand.minute(requests=1)
    assert stand.cloud.sum("Requests") == 4 * 10 + 20
    times = [data[0]["Timestamp"].timestamp() for data in stand.cloud.calls]
    assert times == sorted(times)
    assert len(set(times)) == 24


async def test_a_long_outage_costs_few_calls_and_bounded_memory(stand: Stand) -> None:
    stand.cloud.fault = THROTTLED
    for _ in range(600):  # ten hours
        await stand.minute(requests=10)
    assert len(stand.publisher.outbox) == 15
    assert stand.cloud.tries < 130  # once a minute would be 600
    stand.cloud.fault = None
    for _ in range(11):
        await stand.minute(requests=0)
    assert stand.cloud.sum("Requests") == 6000


async def test_what_is_refused_for_good_does_not_stand_in_the_way(stand: Stand) -> None:
    stand.cloud.fault = CloudWatchError("PutMetricData: InvalidParameterValue", again=False)
    await stand.minute()
    stand.cloud.fault = None
    await stand.minute(requests=5)
    assert stand.cloud.sum("Requests") == 5
    assert len(stand.publisher.outbox) == 0


async def test_without_credentials_one_line_and_silence(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stand.cloud.fault = NoCredentials("no AWS credentials")
    for _ in range(60):
        await stand.minute()
    assert [record.message for record in caplog.records] == ["CloudWatch is off"]
    assert stand.cloud.tries <= 60 * 60 / MAX_PAUSE_S + 1
    assert len(stand.publisher.outbox) == 0
    await stand.publisher.close(minute(9e9), 0.0)
    assert stand.cloud.tries <= 60 * 60 / MAX_PAUSE_S + 1
    stand.cloud.fault = None  # a role that was attached later
    for _ in range(10):
        await stand.minute()
    assert stand.cloud.calls


async def test_a_reason_is_told_once_and_so_is_its_end(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    stand.cloud.fault = THROTTLED
    for _ in range(30):
        await stand.minute()
    stand.cloud.fault = None
    for _ in range(30):
        await stand.minute()
    assert [record.message for record in caplog.records] == [
        "CloudWatch does not answer, counts wait",
        "CloudWatch takes data again",
    ]


async def test_one_call_at_a_time_however_long_it_hangs(stand: Stand) -> None:
    stand.cloud.hang = asyncio.Event()
    hanging = asyncio.create_task(stand.minute(requests=1))
    await stand.cloud.asked.wait()
    for _ in range(40):
        await stand.minute(requests=1)  # comes back at once
    assert stand.cloud.tries == 1
    assert len(stand.publisher.outbox) == 15
    stand.cloud.hang.set()
    await hanging
    assert stand.cloud.sum("Requests") == 41


async def test_the_end_is_bounded_and_the_last_minute_is_sent(stand: Stand) -> None:
    await stand.publisher.close(minute(60.0, 5), 5.0)
    assert stand.cloud.sum("Requests") == 5
    stand.cloud.hang = asyncio.Event()
    async with asyncio.timeout(PATIENCE_S):
        await stand.publisher.close(minute(120.0, 5), 0.01)
    assert len(stand.publisher.outbox) == 1  # known not to have arrived


def test_pauses_double_and_end() -> None:
    pace, now = Pace(60.0, Random(1)), 0.0
    pauses = []
    for _ in range(8):
        pauses.append(pace.failed(now))
        assert not pace.due(now + 0.49 * min(60.0 * 2 ** (len(pauses) - 1), MAX_PAUSE_S))
        now += pauses[-1]
        assert pace.due(now)
    for pause_s, longest_s in zip(pauses, (60, 120, 240, 480, 600, 600, 600, 600), strict=True):
        assert longest_s / 2 <= pause_s <= longest_s
    assert pace.worked()
    assert not pace.worked()
