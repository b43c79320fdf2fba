"""Every request is counted once, in the minute and cluster that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.address import Address
from services.balancer.cloudwatch.tally import (
    BUCKETS,
    DEPARTED_SAMPLES,
    SAMPLE_S,
    Counts,
    Tally,
    gauges,
)
from services.balancer.fleet.health import HealthState
from services.balancer.fleet.registry import Member
from services.balancer.fleet.slots import GRACE_S
from services.balancer.ledger import Ledger, ProcessCell, TargetCell, latency_bucket
from services.balancer.messages import Health


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create(2)
    yield made
    made.close()


def member(slot: int, cluster: str = "c", health: Health = Health.HEALTHY) -> Member:
    address = Address(f"10.0.0.{slot}", 80)
    state = HealthState(health)
    return Member(f"{cluster}/{address}", cluster, address, slot, 0.0, state=state)


def answer(ledger: Ledger, slot: int, status: int, count: int = 1, row: int = 0) -> None:
    cells = ledger.target(row, slot)
    cells[TargetCell.REQUESTS] += count
    cells[TargetCell.RESPONSES_1XX + status // 100 - 1] += count
    cells[latency_bucket(1_500)] += count


def brief(counts: Counts) -> tuple[int, int, int, int, int]:
    return (
        *(counts.requests, counts.errors_4xx, counts.errors_5xx, counts.retries),
        sum(counts.latency),
    )


def test_what_was_there_before_is_not_new(ledger: Ledger) -> None:
    answer(ledger, 0, 200, 50)
    ledger.process(1)[ProcessCell.REQUESTS] = 50
    tally = Tally(ledger)
    tally.sample([member(0)])
    assert brief(tally.take(["c"])[0]["c"]) == (0, 0, 0, 0, 0)
    answer(ledger, 0, 200, 3)
    answer(ledger, 0, 404, 2, row=1)
    answer(ledger, 0, 500)
    tally.sample([member(0)])
    assert brief(tally.take(["c"])[0]["c"]) == (6, 2, 1, 0, 6)
    tally.sample([member(0)])
    assert brief(tally.take(["c"])[0]["c"]) == (0, 0, 0, 0, 0)


def test_a_target_that_joins_later_is_new_from_zero(ledger: Ledger) -> None:
    tally = Tally(ledger)
    tally.sample([])
    answer(ledger, 4, 200, 3)
    tally.sample([member(4), member(5, "other")])
    clusters, _ = tally.take(["c", "other", "idle"])
    assert {name: counts.requests for name, counts in clusters.items()} == {
        "c": 3,
        "other": 0,
        "idle": 0,
    }


def test_a_retried_fault_is_no_error_and_a_final_one_is(ledger: Ledger) -> None:
    """One connect failed and went elsewhere, one answer broke for good, one connection was stale
    and the request was made again, one client left."""
    tally = Tally(ledger)
    tally.sample([member(0), member(1)])
    cells = ledger.target(0, 0)
    cells[TargetCell.CONNECT_FAILURES] += 1
    cells[TargetCell.STALE] += 1
    cells[TargetCell.BROKEN] += 1
    cells[TargetCell.ABORTED] += 1
    ledger.target(0, 1)[TargetCell.RETRIES] += 2
    answer(ledger, 1, 200, 2)
    tally.sample([member(0), member(1)])
    assert brief(tally.take(["c"])[0]["c"]) == (4, 0, 1, 2, 2)


def test_the_whole_has_the_balancers_own_answers(ledger: Ledger) -> None:
    """A final fault is one of them: it is not there twice."""
    tally = Tally(ledger)
    tally.sample([member(0)])
    answer(ledger, 0, 200, 7)
    answer(ledger, 0, 503)
    answer(ledger, 0, 400)
    ledger.target(0, 0)[TargetCell.TIMEOUTS] += 1
    own = ledger.process(1)
    own[ProcessCell.REQUESTS] = 13
    own[ProcessCell.ANSWERED_HERE_4XX] = 1  # no route
    own[ProcessCell.ANSWERED_HERE_5XX] = 2  # the time-out; none eligible
    tally.sample([member(0)])
    clusters, whole = tally.take(["c"])
    assert brief(clusters["c"]) == (10, 1, 2, 0, 9)
    assert brief(whole) == (13, 2, 3, 0, 9)


def test_a_retry_seen_before_its_fault_waits_for_it(ledger: Ledger) -> None:
    tally = Tally(ledger)
    tally.sample([member(0)])
    ledger.target(0, 0)[TargetCell.RETRIES] += 1
    tally.sample([member(0)])
    assert brief(tally.take(["c"])[0]["c"]) == (0, 0, 0, 1, 0)
    ledger.target(1, 0)[TargetCell.BROKEN] += 1
    answer(ledger, 0, 200)
    tally.sample([member(0)])
    assert brief(tally.take(["c"])[0]["c"]) == (1, 0, 0, 0, 1)


def test_one_that_has_left_is_counted_to_its_end(ledger: Ledger) -> None:
    tally = Tally(ledger)
    tally.sample([member(0)])
    ledger.pending(0)[0] = 1  # a long download outlives its target's membership
    for _ in range(3 * DEPARTED_SAMPLES):
        tally.sample([])
    answer(ledger, 0, 200)
    ledger.pending(0)[0] = 0
    tally.sample([])
    assert tally.take(["c"])[0]["c"].requests == 1
    for _ in range(DEPARTED_SAMPLES + 1):
        tally.sample([])
    assert repr(tally) == "<Tally of 0 targets, 0 requests new>"


def test_a_slot_that_goes_to_another_is_that_ones(ledger: Ledger) -> None:
    tally = Tally(ledger)
    tally.sample([member(0)])
    answer(ledger, 0, 200, 9)
    tally.sample([])
    ledger.zero_target(0)
    answer(ledger, 0, 500, 2)
    tally.sample([member(0, "other")])
    clusters, _ = tally.take(["c", "other"])
    assert brief(clusters["c"]) == (9, 0, 0, 0, 9)
    assert brief(clusters["other"]) == (2, 0, 2, 0, 2)


def test_no_slot_can_change_hands_between_two_looks() -> None:
    assert SAMPLE_S < GRACE_S


def test_gauges_are_of_now(ledger: Ledger) -> None:
    members = {
        one.id: one
        for one in (
            member(0),
            member(1),
            member(2, health=Health.UNHEALTHY),
            member(3, "other"),
        )
    }
    members["c/10.0.0.1:80"].draining = True
    ledger.pending(0)[0] = 2
    ledger.pending(1)[1] = 3
    ledger.pending(1)[3] = 50
    assert gauges(members, ledger, "c") == (1, 5)


steps = st.lists(
    st.tuples(
        st.integers(0, 3),  # which target
        st.sampled_from([200, 404, 500]),
        st.integers(0, 1),  # the process
        st.booleans(),  # look at the ledger after it
        st.booleans(),  # and publish
    ),
    max_size=60,
)


@given(steps)
def test_no_request_is_lost_or_counted_twice(
    what: list[tuple[int, int, int, bool, bool]],
) -> None:
    ledger = Ledger.create(2)
    try:
        members = [member(n, "even" if n % 2 == 0 else "odd") for n in range(4)]
        tally = Tally(ledger)
        tally.sample(members)
        total = {"even": Counts(), "odd": Counts()}
        for slot, status, row, look, publish in what:
            answer(ledger, slot, status, row=row)
            if look:
                tally.sample(members)
            if publish:
                for name, counts in tally.take(total)[0].items():
                    total[name].add(counts)
        tally.sample(members)
        for name, counts in tally.take(total)[0].items():
            total[name].add(counts)
        for name, odd in (("even", 0), ("odd", 1)):
            mine = [status for slot, status, *_ in what if slot % 2 == odd]
            assert brief(total[name]) == (
                *(len(mine), mine.count(404), mine.count(500), 0),
                len(mine),
            )
            assert len(total[name].latency) == BUCKETS
    finally:
        ledger.close()
