"""Prequal against its paper: the reuse formula, the pool, the hot-cold rule."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.balancer.pick.prequal import MOST_USES, Prequal, uses
from tests.balancer.made import cluster, target


@pytest.mark.parametrize(
    ("pool", "targets", "removed", "expected"),
    [
        (16, 100, 1.0, 2.0 / (0.84 * 3.0 - 1.0)),  # 1.32: the paper's cluster
        (16, 40, 1.0, 2.0 / (0.6 * 3.0 - 1.0)),
        (16, 24, 1.0, MOST_USES),  # undefined from here down at the defaults
        (4, 8, 1.0, 4.0),
        (4, 8, 0.5, 2.0),
        (2, 3, 1.0, MOST_USES),
        (16, 10_000, 0.5, 1.0),  # never less than once
    ],
)
def test_how_often_an_answer_is_used(
    pool: int, targets: int, removed: float, expected: float
) -> None:
    assert uses(pool, targets, 3.0, removed) == pytest.approx(expected)


def test_uses_are_rounded_so_that_their_mean_is_right() -> None:
    rule = Prequal(removed=0.0)
    targets = [target(number, policy=rule) for number in range(100)]
    rule.pick(targets, 0.0, Random(0))
    given = 0
    for number in range(1000):
        rule.heard(targets[number % 100], 1.0, 0.1, 0.0)
        given += rule.pool[-1].uses
    assert given / 1000 == pytest.approx(uses(16, 100, 3.0, 0.0), abs=0.01)


def test_the_coldest_with_the_lowest_latency() -> None:
    """Pending 1 2 3 9, quantile 0.75: theta is 3, and the fastest of all is hot."""
    rule = Prequal(q_rif=0.75, removed=0.0)
    targets = [target(number, policy=rule) for number in range(20)]
    rule.pick(targets, 0.0, Random(0))
    for one, pending, latency_s in zip(targets, (1, 2, 3, 9), (0.3, 0.1, 0.2, 0.05), strict=False):
        one.load.reported(pending, latency_s, None, 0.0)
    assert rule.hot_above() == 3.0
    assert rule.pick(targets, 0.0, Random(1)).slot == 1


@pytest.mark.parametrize(("q_rif", "slot"), [(0.0, 0), (1.0, 3)])
def test_the_ends_of_the_quantile_are_pending_alone_and_latency_alone(
    q_rif: float, slot: int
) -> None:
    rule = Prequal(q_rif=q_rif, removed=0.0)
    targets = [target(number, policy=rule) for number in range(20)]
    rule.pick(targets, 0.0, Random(0))
    for one, pending, latency_s in zip(targets, (1, 2, 3, 9), (0.4, 0.3, 0.2, 0.1), strict=False):
        one.load.reported(pending, latency_s, None, 0.0)
    assert rule.pick(targets, 0.0, Random(1)).slot == slot


def test_an_answer_that_was_used_counts_one_more_pending() -> None:
    rule = Prequal(q_rif=0.0, removed=0.0)
    targets = [target(number, policy=rule) for number in range(20)]
    rule.pick(targets, 0.0, Random(0))
    for one in targets[:2]:
        one.load.reported(1.0, 0.1, None, 0.0)
    for answer in rule.pool:
        answer.uses = 5
    picks = [rule.pick(targets, 0.0, Random(n)).slot for n in range(4)]
    assert picks == [0, 1, 0, 1]
    assert [answer.pending for answer in rule.pool] == [3.0, 3.0]


def test_old_answers_and_answers_of_who_left_are_not_used() -> None:
    rule = Prequal(removed=0.0)
    targets = [target(number, policy=rule) for number in range(20)]
    rule.pick(targets, 0.0, Random(0))
    for one in targets[:3]:
        one.load.reported(1.0, 0.1, None, 0.0)
    stayed = targets[3:]
    assert all(rule.pick(stayed, 0.5, Random(n)) in stayed for n in range(20))
    assert len(rule.pool) == 3
    rule.pick(targets, 1.5, Random(1))
    assert rule.pool == []


def test_the_pool_loses_its_oldest_and_its_worst_in_turn() -> None:
    rule = Prequal(removed=1.0, q_rif=1.0)
    targets = [target(number, policy=rule) for number in range(40)]
    rule.pick(targets, 0.0, Random(0))
    for number in range(10):
        targets[number].load.reported(1.0, 0.1 * (10 - number % 7), None, 0.0)
        rule.pool[-1].uses = 100
    rule.pick(targets, 0.0, Random(0))  # the oldest: 0
    rule.pick(targets, 0.0, Random(0))  # the worst: 7, of 1 s
    assert {answer.target.slot for answer in rule.pool} == {1, 2, 3, 4, 5, 6, 8, 9}


def test_the_pool_is_smaller_than_a_small_cluster() -> None:
    rule = Prequal()
    targets = [target(number, policy=rule) for number in range(8)]
    rule.pick(targets, 0.0, Random(0))
    for _ in range(3):
        for one in targets:
            one.load.reported(1.0, 0.1, None, 0.0)
    assert len(rule.pool) == 4
    assert all(answer.uses == 4 for answer in rule.pool)


def test_probes_are_asked_for_at_their_rate_and_of_different_targets() -> None:
    rule = Prequal(probes=2.5)
    targets = [target(number, policy=rule) for number in range(10)]
    rng, asked = Random(3), Counter[int]()
    for _ in range(400):
        wanted = rule.wants_probes(targets, 0.0, rng)
        assert len({one.slot for one in wanted}) == len(wanted) in (2, 3)
        asked.update(one.slot for one in wanted)
    assert asked.total() == 1000
    assert min(asked.values()) > 60
    assert len(rule.wants_probes(targets[:1], 0.0, rng)) == 1


def test_no_report_is_picking_by_chance() -> None:
    made = cluster("prequal", 4)
    rng = Random(2)
    served = Counter(made.pick(0.0, rng) for _ in range(2000))
    assert min(served.values()) > 400
