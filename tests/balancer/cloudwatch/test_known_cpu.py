"""The CPU that is read for lowest_cpu, and the new counts that a tally finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from random import Random

import pytest

from services.balancer.address import Address
from services.balancer.cloudwatch.api import CloudWatchError
from services.balancer.cloudwatch.read import STALE_S, CpuReader
from services.balancer.cloudwatch.tally import Tally
from services.balancer.fleet.registry import Member
from services.balancer.ledger import Ledger, ProcessCell, TargetCell

ONE, TWO = "i-0123456789abcdef0", "i-0123456789abcdef1"


def member(number: int, instance: str | None = None) -> Member:
    address = Address(f"10.0.0.{number}", 8000)
    return Member(f"c/{address}", "c", address, number, 0.0, instance=instance)


class Service:
    """Knows some machines, or raises."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.known: dict[str, float] = {ONE: 0.4}
        self.error: CloudWatchError | None = None

    async def get(self, instances: Sequence[str]) -> Mapping[str, float]:
        self.asked.append(list(instances))
        if self.error is not None:
            raise self.error
        return self.known


async def test_members_get_what_is_known_of_their_machine_until_it_is_old() -> None:
    service, now = Service(), [0.0]
    reader = CpuReader(service.get, interval_s=60.0, rng=Random(1), clock=lambda: now[0])
    members = [member(1, ONE), member(2, TWO), member(3, "worker-3"), member(4)]
    await reader.round(members)
    assert service.asked == [[ONE, TWO]]  # one call; what is no machine on EC2 is left out
    assert [m.cloudwatch_cpu for m in members] == [0.4, None, None, None]
    service.error = CloudWatchError("GetMetricData: Throttling")
    while now[0] < STALE_S - 60:
        now[0] += 60.0
        await reader.round(members)
    assert members[0].cloudwatch_cpu == 0.4
    assert len(service.asked) < 7  # pauses double
    now[0] = STALE_S
    await reader.round(members)
    assert members[0].cloudwatch_cpu is None


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create(1)
    with closing(made):
        yield made


def test_a_tally_gives_what_is_new_once(ledger: Ledger) -> None:
    tally, members = Tally(ledger), [member(1)]
    ledger.target(0, 1)[TargetCell.RESPONSES_2XX] = 1000  # before this process began
    tally.sample(members)
    ledger.target(0, 1)[TargetCell.RESPONSES_2XX] += 5
    ledger.target(0, 1)[TargetCell.RESPONSES_5XX] += 2
    ledger.process(0)[ProcessCell.REQUESTS] += 9  # two were answered by the balancer itself
    tally.sample(members)
    clusters, whole = tally.take(["c"])
    assert (clusters["c"].requests, clusters["c"].errors_5xx, whole.requests) == (7, 2, 9)
    tally.sample(members)
    clusters, whole = tally.take(["c"])
    assert (clusters["c"].requests, whole.requests) == (0, 0)


def test_a_fault_that_another_attempt_mended_is_no_error(ledger: Ledger) -> None:
    tally, members = Tally(ledger), [member(1), member(2)]
    tally.sample(members)
    ledger.target(0, 1)[TargetCell.CONNECT_FAILURES] += 1
    ledger.target(0, 2)[TargetCell.RETRIES] += 1
    ledger.target(0, 2)[TargetCell.RESPONSES_2XX] += 1
    tally.sample(members)
    counts = tally.take(["c"])[0]["c"]
    assert (counts.requests, counts.retries, counts.errors_5xx) == (1, 1, 0)
