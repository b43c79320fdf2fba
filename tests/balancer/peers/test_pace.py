"""How far apart rounds are, from what they cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.peers.pace import CALM_S, IDLE_S, LONGEST_S, SHARE, SHORTEST_S, WAKE_S, Pace


def after(*spent_s: float) -> Pace:
    pace = Pace()
    for one_s in spent_s:
        pace.round_ended(one_s, 0.0, news=True)
    return pace


@pytest.mark.parametrize("cost_s", [0.000_3, 0.001, 0.005])
def test_a_small_share_of_a_core_is_spent(cost_s: float) -> None:
    pace = after(*[cost_s] * 100)
    assert (cost_s + WAKE_S) / pace.pause_s == pytest.approx(SHARE, rel=0.01)


def test_cheap_rounds_and_dear_ones_have_their_bounds() -> None:
    assert after(*[0.000_01] * 100).pause_s == SHORTEST_S
    assert after(*[1.0] * 100).pause_s == LONGEST_S


def test_one_stolen_moment_changes_little() -> None:
    pace = after(*[0.000_3] * 100)
    before_s = pace.interval_s
    pace.round_ended(0.2, 0.0, news=True)
    assert pace.interval_s < 1.4 * before_s


def test_after_a_second_without_news_it_looks_ever_less_often() -> None:
    pace = Pace()
    pace.round_ended(0.000_01, 7.0, news=True)
    pauses_s = []
    for now in (7.1, 7.0 + CALM_S, *(8.1 + 0.1 * step for step in range(6))):
        pace.round_ended(0.000_01, now, news=False)
        pauses_s.append(pace.pause_s)
    assert pauses_s == [SHORTEST_S, SHORTEST_S, 0.004, 0.008, 0.016, 0.032, IDLE_S, IDLE_S]
    pace.round_ended(0.000_01, 9.0, news=True)
    assert pace.pause_s == SHORTEST_S
    for _ in range(100):
        pace.round_ended(0.006, 20.0, news=False)
    assert pace.pause_s == pace.interval_s > IDLE_S  # it may be others who make it dear


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.floats(0.0, 3.0), st.booleans()), max_size=200))
def test_never_busy_never_asleep(rounds: list[tuple[float, float, bool]]) -> None:
    pace, now = Pace(), 0.0
    for spent_s, passed_s, news in rounds:
        now += passed_s
        pace.round_ended(spent_s, now, news=news)
        assert SHORTEST_S <= pace.interval_s <= pace.pause_s <= LONGEST_S
