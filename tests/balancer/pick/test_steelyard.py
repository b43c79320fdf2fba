"""The house rule against numbers worked out by hand."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.balancer.pick.pace import FAILURE_COST_S, LONGEST_REST_S, REST_S, Pace
from services.balancer.pick.steelyard import EXPLORE, LOOKS, Steelyard
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
    """The divisor counts the request and half of one: (0.1 + 0.4) / (1.5 + 1.5) before decay."""
    rule = Steelyard(window=10_000)
    one = target(0, policy=rule)
    begin(one, 5.0)
    end(one, 0.1, 5.1)
    assert pace(one).pace_s == pytest.approx(0.1 / 1.5)
    begin(one, 6.0)
    end(one, 0.4, 6.4)
    assert pace(one).pace_s == pytest.approx(0.5 / 3, rel=1e-3)


def test_what_is_pending_together_cancels_out() -> None:
    """Two share the speed of one: 2 pending for 0.2 s, then 1 for 0.1 s; 0.5 s spent in all."""
    rule = Steelyard(window=10_000)
    one = target(0, policy=rule)
    begin(one, 1.0)
    begin(one, 1.0)
    end(one, 0.2, 1.2)
    assert pace(one).pace_s == pytest.approx(0.4 / 2.5)
    end(one, 0.3, 1.3)
    assert pace(one).pace_s == pytest.approx(0.5 / 4, rel=1e-3)
    assert pace(one).estimate_s() == pytest.approx(pace(one).pace_s + 0.1 * rule.mean_s)


def others(rule: Steelyard, at: Target, now: float) -> float:
    """How many requests of other balancers are believed to be pending there."""
    return (rule.cost(at, now) - pace(at).cost_s) / pace(at).each_s


def test_others_requests_are_known_by_reports() -> None:
    rule = Steelyard(window=10_000)
    one, two = target(0, policy=rule), target(1, policy=rule)
    begin(one, 0.0)
    end(one, 0.5, 0.5, reported=5.0)  # ours and four others
    assert pace(one).pace_s == pytest.approx(0.5 / 5.5)
    assert others(rule, one, 0.5) == pytest.approx(4.0)
    assert others(rule, one, 1e9) == pytest.approx(4.0)
    assert others(rule, two, 0.5) == pytest.approx(4.0)  # unheard of: as everywhere


def test_a_report_counts_for_the_moment_and_the_share_for_later() -> None:
    """Half of how far it is from its share is left after as long as those requests take."""
    rule = Steelyard(window=10_000)
    one, now = target(0, policy=rule), 0.0
    for reported in (3.0, 3.0, 1.0):  # two others, two, none
        begin(one, now)
        now += 0.5
        end(one, 0.5, now, reported=reported)
    level = (3.0 + 3.0 + 1.0) / 3
    share = 0.9 + 0.1 * 1.0 / level
    lasts_s = (0.5 + 0.5) / (3.5 + 3.5) * 1.1  # when the report came; 1.1: a tenth of the mean
    assert others(rule, one, now) == pytest.approx(0.0, abs=1e-6)
    half = (share * level - 1.0) / 2
    assert others(rule, one, now + lasts_s) == pytest.approx(half, rel=1e-2)
    assert others(rule, one, now + 1e9) == pytest.approx(share * level - 1.0)


def test_what_is_heard_of_some_counts_for_all() -> None:
    """Load rises everywhere, and one target is not heard of meanwhile."""
    rule = Steelyard()
    quiet, heard, now = target(0, policy=rule), target(1, policy=rule), 0.0
    for reported in [2.0] * 100 + [9.0] * 400:
        for one in (quiet, heard) if reported < 9.0 else (heard,):
            begin(one, now)
            now += 0.1
            end(one, 0.1, now, reported=reported)
    assert others(rule, heard, 1e9) == pytest.approx(8.0, rel=0.1)
    assert others(rule, quiet, 1e9) == pytest.approx(8.0, rel=0.2)


def test_among_many_it_is_seen_soon_that_others_requests_have_ended() -> None:
    """The index hears of our own requests alone; for the others' only time passes."""
    rule, rng, now = Steelyard(explore=0.0), Random(5), 0.0
    slow = [target(number, policy=rule) for number in range(35)]
    fast = [target(number, policy=rule) for number in range(35, 40)]
    for each in slow + fast:
        rule.joined(each)
        begin(each, now)
        end(each, 0.5, now + (0.5 if each in slow else 0.05), reported=2.0)
    now += 1.0
    for each in fast:  # a report of very many
        pace(each).lean, pace(each).lean_from = 1e3 * 0.05, now - 0.05
    assert rule.pick(slow + fast, now, rng) in slow
    now += 1e6
    for _ in range(1 + 40 // LOOKS):
        now += 1.0
        picked = rule.pick(slow + fast, now, rng)
    assert picked in fast


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


def test_an_answer_is_awaited_for_as_long_as_all_who_are_pending_take() -> None:
    """One of ours among nine that other balancers have told of."""
    rule = Steelyard(explore=0.0)
    one = taught(rule, 0, 0.010)
    one.hear([9])
    before = pace(one).pace_s
    begin(one, 1.0)
    begin(one, 1.1)
    assert pace(one).pace_s == before
    begin(one, 1.3)
    assert pace(one).pace_s > before


def test_among_many_it_is_seen_soon_that_what_was_told_has_ended() -> None:
    rule, rng, now = Steelyard(explore=0.0), Random(5), 0.0
    slow = [taught(rule, number, 0.5) for number in range(35)]
    fast = [taught(rule, number, 0.05) for number in range(35, 40)]
    told = [0] * 35 + [1000] * 5
    for each in slow + fast:
        each.hear(told)
        rule.joined(each)
    assert rule.pick(slow + fast, now, rng) in slow
    told[35:] = [0] * 5
    for _ in range(1 + 40 // LOOKS):
        now += 1.0
        picked = rule.pick(slow + fast, now, rng)
    assert picked in fast


@pytest.mark.parametrize("count", [5, 40])
def test_nobody_stays_cheap_because_nothing_was_known_when_it_joined(count: int) -> None:
    """What others have told to be there counts by what requests take by now."""
    rule = Steelyard(explore=0.0)
    told = [0] + [20] * count
    targets = [target(number, policy=rule) for number in range(count + 1)]
    for each in targets:
        each.hear(told)
        rule.joined(each)
    begin(targets[0], 0.0)
    end(targets[0], 0.2, 0.2)
    for number in range(1, 50):
        begin(targets[0], float(number))
        assert rule.pick(targets, float(number), Random(number)) is targets[0]
        end(targets[0], 0.2, number + 0.2)


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


def test_newcomers_are_taken_for_what_newcomers_were_like() -> None:
    """Cold ones, three times as slow: the first surprises, those after it get less."""
    rule = Steelyard(explore=0.0)
    for number in range(4):
        taught(rule, number, 0.100)
    assert rule.newness == pytest.approx(1.0, abs=0.05)
    for number in range(10, 40):
        taught(rule, number, 0.300, answers=1)
    newcomer = target(50, policy=rule)
    assert pace(newcomer).cost_s == pytest.approx(rule.mean_s * (rule.newness + 0.1))
    assert 2.0 < rule.newness < 3.0
    for number in range(60, 90):
        taught(rule, number, 0.001, answers=1)
    assert rule.newness == 1.0  # never faster than the others


def test_one_newcomer_that_answers_very_late_does_not_bar_the_next() -> None:
    rule = Steelyard()
    taught(rule, 0, 0.010, answers=100)
    taught(rule, 1, 60.0, answers=1)
    assert rule.newness <= 1.4


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
