"""CPU from CloudWatch: one call for all, forgotten when old, never of a stranger's machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from services.balancer.address import Address
from services.balancer.cloudwatch.api import CloudWatchError, NoCredentials
from services.balancer.cloudwatch.read import STALE_S, CpuReader
from services.balancer.fleet.registry import Member


class Stand:
    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[list[str]] = []
        self.answers: dict[str, float] = {}
        self.fault: CloudWatchError | None = None
        self.reader = CpuReader(self.get, interval_s=60.0, rng=Random(1), clock=lambda: self.now)

    async def get(self, instances: Sequence[str]) -> Mapping[str, float]:
        self.asked.append(list(instances))
        if self.fault is not None:
            raise self.fault
        return self.answers


def member(number: int, instance: str | None) -> Member:
    address = Address(f"10.0.0.{number}", 80)
    return Member(f"c/{address}", "c", address, number, 0.0, instance=instance)


async def test_one_call_for_all_and_each_member_gets_its_own() -> None:
    stand = Stand()
    stand.answers = {"i-00000001": 0.1, "i-00000002": 0.2}
    members = [
        member(1, "i-00000001"),
        member(2, "i-00000002"),
        member(3, "i-00000002"),  # two targets on one machine
        member(4, "i-00000003"),
        member(5, None),
        member(6, "laptop"),
        member(7, "i-00000001; DROP"),
    ]
    await stand.reader.round(members)
    assert stand.asked == [["i-00000001", "i-00000002", "i-00000003"]]
    assert [m.cloudwatch_cpu for m in members] == [0.1, 0.2, 0.2, None, None, None, None]


async def test_nobody_to_ask_for_is_no_call() -> None:
    stand = Stand()
    await stand.reader.round([member(1, "laptop")])
    assert stand.asked == []


async def test_an_old_value_serves_until_it_is_too_old() -> None:
    stand = Stand()
    one = member(1, "i-00000001")
    stand.answers = {"i-00000001": 0.3}
    await stand.reader.round([one])
    stand.answers = {}  # CloudWatch is late
    stand.now = STALE_S - 1
    await stand.reader.round([one])
    assert one.cloudwatch_cpu == 0.3
    stand.now = STALE_S + 1
    await stand.reader.round([one])
    assert one.cloudwatch_cpu is None


async def test_throttling_doubles_the_pause_and_keeps_what_is_known() -> None:
    stand = Stand()
    one = member(1, "i-00000001")
    stand.answers = {"i-00000001": 0.3}
    await stand.reader.round([one])
    stand.fault = CloudWatchError("GetMetricData: Throttling")
    for minute in range(1, 8):
        stand.now = 60.0 * minute
        await stand.reader.round([one])
    assert one.cloudwatch_cpu == 0.3
    assert len(stand.asked) <= 5  # once a minute would be 8
    stand.fault = None
    stand.answers = {"i-00000001": 0.6}
    stand.now += STALE_S
    await stand.reader.round([one])
    assert one.cloudwatch_cpu == 0.6


async def test_without_credentials_it_asks_rarely() -> None:
    stand = Stand()
    stand.fault = NoCredentials("no AWS credentials")
    for minute in range(60):
        stand.now = 60.0 * minute
        await stand.reader.round([member(1, "i-00000001")])
    assert len(stand.asked) <= 7
