"""The house rule against numbers worked out by hand."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.balancer.pick.steelyard import (
    EXPLORE,
    FAILURE_COST_S,
    LONGEST_REST_S,
    REST_S,
    Pace,
    Steelyard,
)
from services.balancer.target import Target
from tests.balancer.made import target


def pace(of: Target) -> Pace:
    assert isinstance(of.load, Pace)
    return of.load


def begin(at: Target, now: float) -> None:
    assert at.claim()
    at.load.begin(now)


def end(at: Target, latency_s: float, now: float, *, reported: float | None = None) -> None:
    at.release()
    if reported is not None:
        at.load.reported(reported, None, None, now)
    at.load.succeed(latency_s, now)


def taught(rule: Steelyard, number: int, latency_s: float, *, answers: int = 40) -> Target:
    """A target that has answered alone, in so much time, one request after the other."""
    made, now = target(number, policy=rule), 0.0
    for _ in range(answers):
        begin(made, now)
        now += latency_s
        end(made, latency_s, now)
    return made


def test_the_pace_of_requests_one_by_one() -> None:
    """The divisor counts the request and two more: (0.1 + 0.4) / (3 + 3) before decay."""
    rule = Steelyard(window=10_000)
    one = target(0, policy=rule)
    begin(one, 5.0)
    end(one, 0.1, 5.1)
    assert pace(one).pace_s == pytest.approx(0.1 / 3)
    begin(one, 6.0)
    end(one, 0.4, 6.4)
    assert pace(one).pace_s == pytest.approx(0.5 / 6, rel=1e-3)


def test_what_is_pending_together_cancels_out() -> None:
    """Two share the speed of one: 2 pending for 0.2 s, then 1 for 0.1 s; 0.5 s spent in all."""
    rule = Steelyard(window=10_000)
    one = target(0, policy=rule)
    begin(one, 1.0)
    begin(one, 1.0)
    end(one, 0.2, 1.2)
    assert pace(one).pace_s == pytest.approx(0.4 / 4)
    end(one, 0.3, 1.3)
    assert pace(one).pace_s == pytest.approx(0.5 / 7, rel=1e-3)
    assert pace(one).estimate_s() == pytest.approx(0.5 / 7, rel=1e-3)


def test_others_requests_are_known_by_reports() -> None:
    rule = Steelyard(window=10_000)
    one = target(0, policy=rule)
    begin(one, 0.0)
    end(one, 0.5, 0.5, reported=5.0)  # ours and four others
    assert pace(one).others == pytest.approx(4.0)
    assert pace(one).pace_s == pytest.approx(0.5 / 7)
    begin(one, 1.0)
    end(one, 0.5, 1.5, reported=1.0)
    assert pace(one).others == pytest.approx(0.9 * 4.0)


def test_a_report_counts_for_the_moment_and_its_mean_for_later() -> None:
    """Half of how far it is from the mean is left after as long as those requests take."""
    rule = Steelyard(window=10_000)
    one, now = target(0, policy=rule), 0.0
    for reported in (3.0, 3.0, 1.0):  # two others, two, none
        begin(one, now)
        now += 0.5
        end(one, 0.5, now, reported=reported)
    mean, pace_s = 0.9 * 2.0, pace(one).pace_s
    lasts_s = (0.5 + 0.5) / (5.0 + 5.0)  # the pace when the report came
    assert rule.cost(one, now) == pytest.approx(pace_s, rel=1e-3)
    assert rule.cost(one, now + lasts_s) == pytest.approx(pace_s * (1.0 + mean / 2), rel=1e-3)
    assert rule.cost(one, now + 1e9) == pytest.approx(pace_s * (1.0 + mean), rel=1e-3)


def test_the_shortest_expected_delay_is_picked() -> None:
    rule = Steelyard(explore=0.0)
    fast, slow = taught(rule, 0, 0.010), taught(rule, 1, 0.025)
    for _ in range(2):  # 1 x 10, 2 x 10 against 25
        assert all(rule.pick([slow, fast], 1.0, Random(n)) is fast for n in range(20))
        begin(fast, 1.0)
    assert all(rule.pick([slow, fast], 1.0, Random(n)) is slow for n in range(20))


def test_a_target_whose_answer_is_overdue_is_dearer_before_it_answers() -> None:
    rule = Steelyard(explore=0.0)
    one = taught(rule, 0, 0.010)
    before = pace(one).pace_s
    begin(one, 1.0)
    begin(one, 1.005)
    assert pace(one).pace_s == before  # not yet
    begin(one, 3.0)
    assert pace(one).pace_s > 2 * before


def test_a_slowed_target_is_known_after_twenty_answers_and_so_is_its_recovery() -> None:
    rule = Steelyard(explore=0.0)
    one, now = taught(rule, 0, 0.010, answers=200), 10.0
    fast = pace(one).pace_s
    for latency_s, wanted in ((0.010 / 0.3, fast / 0.3), (0.010, fast)):
        for _ in range(40):
            begin(one, now)
            now += latency_s
            end(one, latency_s, now)
        assert pace(one).pace_s == pytest.approx(wanted, rel=0.5)


def test_what_is_old_gives_way_to_the_first_answers_after_a_rest() -> None:
    rule = Steelyard()
    one = taught(rule, 0, 0.100)
    before, now = pace(one).pace_s, 100.0
    for _ in range(4):
        begin(one, now)
        end(one, 0.010, now + 0.010)
        now += 2.0
    assert pace(one).pace_s < 0.45 * before


def test_a_newcomer_counts_as_the_mean_of_the_others() -> None:
    rule = Steelyard(explore=0.0)
    slow = taught(rule, 0, 0.100, answers=200)
    newcomer, fast = target(1, policy=rule), target(2, policy=rule)
    fast.load = taught(Steelyard(), 2, 0.010).load
    assert all(rule.pick([newcomer, fast], 0.0, Random(n)) is fast for n in range(20))
    begin(slow, 0.0)
    assert all(rule.pick([newcomer, slow], 0.0, Random(n)) is newcomer for n in range(20))
    begin(newcomer, 0.0)
    begin(newcomer, 0.0)  # not flooded: its pending requests count
    assert all(rule.pick([newcomer, slow], 0.0, Random(n)) is slow for n in range(20))


def failing_share(rule: Steelyard, requests: int, per_second: float) -> float:
    """Of traffic to nine sound targets (50 ms) and one that fails at once, what the latter gets."""
    targets = [target(number, policy=rule) for number in range(10)]
    rng, served, now = Random(6), Counter[int](), 0.0
    for _ in range(requests):
        now += 1.0 / per_second
        chosen = rule.pick(targets, now, rng)
        served[chosen.slot] += 1
        begin(chosen, now)
        if chosen.slot == 0:
            chosen.release()
            chosen.load.fail(0.001, now + 0.001)
        else:
            end(chosen, 0.050, now + 0.050)
    return served[0] / requests


def test_a_target_that_fails_at_once_is_no_sinkhole() -> None:
    assert failing_share(Steelyard(), 5000, per_second=100.0) < 0.006


def test_one_failure_in_ten_is_borne() -> None:
    rule = Steelyard()
    one = taught(rule, 0, 0.050)
    one.claim()
    one.release()
    one.load.fail(0.001, 3.0)
    assert pace(one).penalty_s == 0.0
    for _ in range(30):
        one.load.fail(0.001, 3.0)
    assert pace(one).penalty_s == pytest.approx(FAILURE_COST_S * 0.85, rel=0.1)
    assert pace(one).rest_s == LONGEST_REST_S
    for _ in range(60):
        one.load.succeed(0.050, 4.0)
    assert pace(one).penalty_s == 0.0
    assert pace(one).rest_s == REST_S


def test_a_target_that_gets_nothing_is_explored_but_seldom() -> None:
    rule = Steelyard()
    fast, slow = taught(rule, 0, 0.001), taught(rule, 1, 0.500)
    rng, explored, now = Random(1), 0, 100.0
    for _ in range(4000):
        now += 0.005
        explored += rule.pick([fast, slow], now, rng) is slow
    assert 10 <= explored <= min(EXPLORE * 4000, 20.0 / REST_S)


def test_a_fresh_one_bears_ends_of_requests_that_began_before() -> None:
    rule = Steelyard()
    one = taught(rule, 0, 0.010)
    begin(one, 1000.0)
    begin(one, 1000.0)
    one.load = one.load.fresh()
    end(one, 0.5, 1000.5)
    assert pace(one).pace_s < 1.0
    one.release()
    one.load.abandon(0.5, 1000.5)
