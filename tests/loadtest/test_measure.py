from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest import measure
from loadtest.stream import Samples
from tests.loadtest.made import samples

values = st.lists(st.floats(0.01, 1e5), min_size=2, max_size=200)


@given(values)
def test_percentiles_interpolate_between_ranks(numbers: list[float]) -> None:
    ordered = sorted(numbers)
    quarters = statistics.quantiles(ordered, n=100, method="inclusive")
    assert measure.percentile(ordered, 0.95) == pytest.approx(quarters[94])
    assert measure.percentile(ordered, 0) == ordered[0]
    assert measure.percentile(ordered, 1) == ordered[-1]


def test_a_refused_connection_does_not_make_the_latency_look_better() -> None:
    made = samples(10, 20, 30)
    made.ended_s.append(1001)
    made.latency_ms.append(0)
    made.status.append(0)
    made.error_code.append(1212)
    known = measure.latency(measure.answered_ms(made))
    assert known is not None
    assert (known.min_ms, known.p50_ms) == (10, 20)
    assert measure.failures(made) == {"connection refused": 1}


def test_nothing_answered_is_no_latency() -> None:
    assert measure.latency(measure.answered_ms(samples(1, 2, status=503))) is None


def test_duration_runs_from_the_first_start_to_the_last_end() -> None:
    made = samples(50, 400)  # the second began before the first
    assert measure.duration_s(made) == pytest.approx(0.4)
    assert measure.duration_s(Samples()) == 0


def test_without_a_completed_turn_the_requests_say_when_they_began() -> None:
    made = samples(100, 350, gap_s=0.2)
    made.turn_began_s = Samples().turn_began_s
    assert measure.began_s(made) == pytest.approx(999.95, abs=1e-6)
    assert sum(each.requests for each in measure.slices(made, 0.1)) == 2


@given(values, st.sampled_from(measure.SLICE_WIDTHS_S))
def test_slices_lose_nothing_and_end_with_the_run(numbers: list[float], width_s: float) -> None:
    made = samples(*numbers[:50], gap_s=0.01)
    span_s = min(measure.duration_s(made), 5)
    if span_s < measure.duration_s(made):
        return
    found = measure.slices(made, width_s)
    assert sum(each.requests for each in found) == len(made)
    last = found[-1]
    assert last.start_s + last.width_s == pytest.approx(measure.duration_s(made), abs=1e-3)
    assert len(found) == 1 or width_s / 2 - 1e-6 <= last.width_s <= 1.5 * width_s + 1e-6


def test_a_gap_is_a_slice_without_requests() -> None:
    found = measure.slices(samples(1, 1, gap_s=1.0), 0.2)
    assert [each.requests for each in found] == [1, 0, 0, 0, 1]
    assert found[1].p50_ms is None


@pytest.mark.parametrize(
    ("span_s", "width_s"), [(0.3, 0.01), (0.0, 0.01), (6, 0.2), (30, 1), (3600, 1)]
)
def test_short_runs_have_thin_slices(span_s: float, width_s: float) -> None:
    assert measure.slice_width_s(span_s) == width_s


@given(values)
def test_the_distribution_holds_every_answer_once(numbers: list[float]) -> None:
    bins = measure.distribution(numbers)
    assert sum(each.count for each in bins) == len(numbers)
    assert bins[0].from_ms <= min(numbers) * 1.0001
    assert bins[-1].to_ms >= max(numbers) * 0.9999
    shares = [share for _, share in measure.cumulative_shares(bins)]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
