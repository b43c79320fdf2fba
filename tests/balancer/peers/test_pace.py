"""How far apart rounds are, from what they cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.peers.pace import IDLE_S, LONGEST_S, SHARE, SHORTEST_S, Pace


def after(*spent_s: float, news: bool = True) -> Pace:
    pace = Pace()
    for one_s in spent_s:
        pace.round_ended(one_s, news=news)
    return pace


@pytest.mark.parametrize("cost_s", [0.000_3, 0.001, 0.005])
def test_a_small_share_of_a_core_is_spent(cost_s: float) -> None:
    pace = after(*[cost_s] * 100)
    assert cost_s / pace.pause_s == pytest.approx(SHARE, rel=0.01)


def test_cheap_rounds_and_dear_ones_have_their_bounds() -> None:
    assert after(*[0.000_01] * 100).pause_s == SHORTEST_S
    assert after(*[1.0] * 100).pause_s == LONGEST_S


def test_one_stolen_moment_changes_little() -> None:
    pace = after(*[0.000_3] * 100)
    before_s = pace.interval_s
    pace.round_ended(0.2, news=True)
    assert pace.interval_s < 1.4 * before_s


def test_who_has_nothing_to_tell_looks_ever_less_often() -> None:
    pace = Pace()
    pauses_s = []
    for _ in range(6):
        pace.round_ended(0.000_01, news=False)
        pauses_s.append(pace.pause_s)
    assert pauses_s == [0.004, 0.008, 0.016, 0.032, IDLE_S, IDLE_S]
    pace.round_ended(0.000_01, news=True)
    assert pace.pause_s == SHORTEST_S
    for _ in range(100):
        pace.round_ended(0.006, news=False)
    assert pace.pause_s == pace.interval_s > IDLE_S  # it may be others who make it dear


@given(st.lists(st.tuples(st.floats(0.0, 10.0), st.booleans()), max_size=200))
def test_never_busy_never_asleep(rounds: list[tuple[float, bool]]) -> None:
    pace = Pace()
    for spent_s, news in rounds:
        pace.round_ended(spent_s, news=news)
        assert SHORTEST_S <= pace.interval_s <= pace.pause_s <= LONGEST_S
