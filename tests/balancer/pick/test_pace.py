"""What several processes of one balancer learn of a target together."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.load import SEEN_CELLS
from services.balancer.pick.pace import Pace
from services.balancer.pick.steelyard import Steelyard
from services.balancer.target import Target
from tests.balancer.made import picture

LATENCIES = st.floats(min_value=1e-5, max_value=10.0)


def alone_with(elsewhere: list[int]) -> tuple[Pace, Target]:
    """A target whose answers take 0.1 s and of which others tell."""
    rule = Steelyard(window=10_000)
    made = Target(picture(1), limit=1000, own_row=[0, 0], elsewhere=elsewhere)
    made.load = pace = Pace(rule, made)
    assert made.claim()
    pace.begin(1.0)
    made.release()
    pace.succeed(0.1, 1.1)
    return pace, made


def told(pace: Pace) -> float:
    """How many of others' requests are believed to be pending."""
    return (pace.cost_with_others(2.0) - pace.cost_s) / pace.each_s


def test_news_of_this_moment_is_believed() -> None:
    elsewhere = [0, 4, 0]
    pace, made = alone_with(elsewhere)
    for count in (4, 0, 9):
        elsewhere[1] = count
        assert told(pace) == pytest.approx(count)
        assert pace.estimate_s() == pytest.approx(pace.each_s * (1 + count))
    assert made.own == 0


def test_the_older_the_news_the_more_counts_what_is_usual() -> None:
    elsewhere = [0, 4, 0]
    pace, _ = alone_with(elsewhere)
    for _ in range(200):
        told(pace)
    elsewhere[1] = 0
    usual = 0.9 * 4  # a tenth of the new
    elsewhere[-1] = int(pace.each_s * 1e6)  # as old as nobody else's request takes
    assert told(pace) == pytest.approx(usual / 2, rel=1e-3)
    usual *= 0.9
    elsewhere[-1] = 10**12
    assert told(pace) == pytest.approx(usual, rel=1e-3)
    elsewhere[1] = 9  # the more there are, the longer they stay
    usual += 0.1 * (9 - usual)
    elsewhere[-1] = int(10 * pace.each_s * 1e6)
    assert told(pace) == pytest.approx((usual + 9) / 2, rel=1e-3)


class Process:
    """One of several that have the same target, in slot 1, and nothing else."""

    def __init__(self, seen: list[list[int]], number: int) -> None:
        others = [each for each in range(len(seen)) if each != number]
        rows: list[list[int]] = [[0, 0] for _ in seen]
        self.rule = Steelyard()
        self.target = Target(
            picture(1),
            limit=1000,
            own_row=rows[number],
            siblings=tuple(rows[each] for each in others),
            seen=tuple(seen[each] for each in (number, *others)) if others else (),
        )
        self.target.load = self.pace = Pace(self.rule, self.target)
        self.rule.joined(self.target)

    def answered(self, latency_s: float, now: float) -> None:
        """One request, from `latency_s` ago until now."""
        assert self.target.claim()
        self.pace.begin(now - latency_s)
        self.target.release()
        self.pace.succeed(latency_s, now)


def processes(count: int) -> tuple[list[Process], list[list[int]]]:
    seen = [[0] * (2 * SEEN_CELLS) for _ in range(count)]
    return [Process(seen, number) for number in range(count)], seen


@given(st.lists(st.tuples(st.integers(0, 3), LATENCIES), min_size=1, max_size=60))
def test_four_processes_that_look_each_time_are_one(answers: list[tuple[int, float]]) -> None:
    four, _ = processes(4)
    (alone,), _ = processes(1)
    now = 0.0
    for who, latency_s in answers:
        now += latency_s
        alone.answered(latency_s, now)
        four[who].answered(latency_s, now)
        for each in four:
            each.pace.gather(now)
            assert each.pace.pace_s == pytest.approx(alone.pace.pace_s, rel=1e-3)
            assert each.rule.mean_s == pytest.approx(alone.rule.mean_s, rel=1e-3)


def test_many_answers_at_once_count_for_what_is_new() -> None:
    """After a hundred slow ones of another process little is left of the fast ones before."""
    (one, other), _ = processes(2)
    for step in range(100):
        one.answered(0.01, 0.5 + 0.01 * step)
    fast_s = one.pace.pace_s
    for step in range(100):
        other.answered(0.1, 1.6 + 0.1 * step)
    assert one.pace.pace_s == fast_s
    one.pace.gather(12.0)
    assert one.pace.pace_s == pytest.approx(10 * fast_s, rel=0.05)
    assert other.pace.pace_s == pytest.approx(10 * fast_s, rel=0.05)
    assert one.pace.each_s == pytest.approx(one.pace.pace_s + 0.1 * one.rule.mean_s)
    one.answered(0.01, 12.2)  # nor do they outweigh what comes after
    other.pace.gather(12.2)
    assert one.pace.pace_s == pytest.approx(other.pace.pace_s, rel=0.02)


def test_what_was_seen_before_it_came_is_not_news() -> None:
    """A process that starts later: the totals are of all time, and may be long out of date."""
    (one, _), seen = processes(2)
    one.answered(0.5, 1.0)
    late = Process(seen, 1)
    late.pace.gather(1.0)
    assert late.pace.pace_s == 0.0
    one.answered(0.1, 2.0)
    late.pace.gather(2.0)
    assert late.pace.pace_s == pytest.approx(0.1 / 1.5, rel=1e-3)


def test_a_slot_that_counts_anew_is_believed_from_there() -> None:
    (one, other), seen = processes(2)
    for step in range(3):
        one.answered(0.1, 1.0 + step)
    other.pace.gather(4.0)
    known_s = other.pace.pace_s
    seen[0][:] = [0] * len(seen[0])  # as the supervisor does between two targets
    other.pace.gather(5.0)
    assert other.pace.pace_s == known_s
    one.answered(0.9, 6.0)
    other.pace.gather(6.0)
    assert other.pace.pace_s > known_s


def test_a_total_that_is_read_in_the_middle_of_a_change_is_made_good() -> None:
    """The other process has added an answer's divisor and not yet counted it."""
    (one, other), seen = processes(2)
    one.answered(0.1, 1.0)
    one.answered(0.1, 2.0)
    answers = SEEN_CELLS  # the first cell of slot 1
    seen[0][answers] -= 1
    other.pace.gather(2.0)
    known_s = other.pace.pace_s
    seen[0][answers] += 1
    other.pace.gather(9.0)  # long enough for what is known to count for less
    assert other.pace.pace_s == known_s
    one.answered(0.9, 10.0)
    other.pace.gather(10.0)
    assert other.pace.pace_s > known_s


def test_a_pick_looks_at_what_the_others_saw() -> None:
    (one, other), _ = processes(2)
    one.answered(0.1, 1.0)
    assert other.pace.pace_s == 0.0
    assert other.rule.pick([other.target], 1.0, Random(1)) is other.target
    assert other.pace.pace_s == pytest.approx(0.1 / 1.5, rel=1e-3)
