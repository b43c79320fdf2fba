"""Latency at pending, and the request rate: pure, with time as an argument."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.worker.latency import (
    LEVELS,
    MAX_AGE_S,
    SAMPLES_PER_LEVEL,
    LatencyAtPending,
    RequestRate,
    level_of,
)


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_levels_rise_with_pending_and_stay_in_bounds(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert 0 <= level_of(low) <= level_of(high) < LEVELS


def test_small_counts_have_a_level_each_and_large_ones_share() -> None:
    assert [level_of(n) for n in range(17)] == list(range(17))
    assert level_of(100) == level_of(111) != level_of(112)
    assert level_of(-1) == 0


def test_the_answer_is_the_median_near_the_present_pending() -> None:
    known = LatencyAtPending()
    for pending in (0, 4, 9):
        for step in range(5):
            known.record(1.0, pending, pending + step / 10)
    assert known.median_s(1.0, 0) == pytest.approx(0.2)
    assert known.median_s(1.0, 4) == pytest.approx(4.2)
    assert known.median_s(1.0, 8) == pytest.approx(9.2)
    assert known.median_s(1.0, 1000) == pytest.approx(9.2)  # the nearest there is


def test_thin_levels_borrow_from_their_neighbours() -> None:
    known = LatencyAtPending()
    known.record(0.0, 3, 5.0)
    for _ in range(4):
        known.record(0.0, 4, 1.0)
    assert known.median_s(0.0, 3) == 1.0


def test_both_sides_of_a_distance_count_alike() -> None:
    known = LatencyAtPending()
    for _ in range(5):
        known.record(0.0, 3, 1.0)
        known.record(0.0, 5, 2.0)
    assert known.median_s(0.0, 4) == 1.5


def test_what_is_old_is_forgotten() -> None:
    known = LatencyAtPending()
    known.record(0.0, 0, 1.0)
    assert known.median_s(MAX_AGE_S, 0) == 1.0
    assert known.median_s(MAX_AGE_S + 0.1, 0) is None
    assert LatencyAtPending().median_s(0.0, 0) is None


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 100)), max_size=300))
def test_it_is_always_the_median_of_something_recorded(samples: list[tuple[int, float]]) -> None:
    known = LatencyAtPending()
    for pending, latency_s in samples:
        known.record(0.0, pending, latency_s)
    answer = known.median_s(0.0, 10)
    if not samples:
        assert answer is None
    else:
        assert answer is not None
        latencies = [latency_s for _, latency_s in samples]
        assert min(latencies) <= answer <= max(latencies)
    assert known.median_s(0.0, 10) == answer  # reading changes nothing


@given(st.lists(st.floats(0, 9), min_size=1, max_size=SAMPLES_PER_LEVEL))
def test_within_one_level_it_is_the_plain_median(latencies: list[float]) -> None:
    known = LatencyAtPending()
    for latency_s in latencies:
        known.record(0.0, 0, latency_s)
    assert known.median_s(0.0, 0) == pytest.approx(statistics.median(latencies))


def test_only_the_latest_samples_of_a_level_count() -> None:
    known = LatencyAtPending()
    for step in range(10 * SAMPLES_PER_LEVEL):
        known.record(0.0, 0, 1.0 if step < 9 * SAMPLES_PER_LEVEL else 2.0)
    assert known.median_s(0.0, 0) == 2.0


def test_the_rate_is_the_mean_of_the_last_minute() -> None:
    rate = RequestRate(100.0)
    assert rate.per_second(100.0) == 0
    for step in range(1200):
        rate.record(100.0 + step / 10)  # ten a second for two minutes
    assert rate.per_second(219.95) == pytest.approx(10.0, rel=0.01)
    assert rate.per_second(249.95) == pytest.approx(5.0, rel=0.01)
    assert rate.per_second(400.0) == 0


def test_a_young_worker_divides_by_its_own_age() -> None:
    rate = RequestRate(0.0)
    for step in range(20):
        rate.record(step / 10)
    assert rate.per_second(2.0) == pytest.approx(10.0)
