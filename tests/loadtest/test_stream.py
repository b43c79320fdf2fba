from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.stream import MOST_TARGETS, OTHER_TARGETS, SampleStream, failure_cause

HEADER = "metric_name,timestamp,metric_value,error_code,expected_response,scenario,status"
HEADER += ",extra_tags,metadata\n"
TURN_MS = 3.009  # of a turn besides its request, 9 us of it afterwards


def rows(
    ended_us: int, latency_ms: float, *, status: int = 200, code: str = "", target: str = "a"
) -> str:
    """What k6 1.1 writes for one request, rows of no interest included."""
    tags = f"{code},true,one,{status}"
    passed = int(status == 200)
    return (
        f"http_reqs,{ended_us},1.000000,{tags},,\n"
        f"http_req_duration,{ended_us},{latency_ms:.6f},{tags},,\n"
        f"http_req_blocked,{ended_us},2.000000,{tags},,\n"
        f"http_req_failed,{ended_us},0.000000,{tags},,\n"
        f"checks,{ended_us + 9},{passed}.000000,,,one,,target={target},\n"
        f"iteration_duration,{ended_us + 9},{latency_ms + TURN_MS:.6f},,,one,,,\n"
        f"iterations,{ended_us + 9},1.000000,,,one,,,\n"
    )


def fed(*pieces: str) -> SampleStream:
    stream = SampleStream(("one",))
    for piece in pieces:
        stream.feed(piece.encode())
    return stream


def test_a_request_is_read_from_its_rows() -> None:
    samples = fed(HEADER, rows(1_795_233_444_961_567, 10.5)).clusters["one"]
    assert list(samples.latency_ms) == [10.5]
    assert list(samples.status) == [200]
    assert samples.ended_s[0] == pytest.approx(1_795_233_444.961567)
    assert samples.targets == {"a": 1}


def test_the_load_begins_with_the_first_turn() -> None:
    """Not `duration + blocked` before the first response: on new connections they overlap."""
    samples = fed(HEADER, rows(20_000_000, 500), rows(19_900_000, 100)).clusters["one"]
    assert samples.turn_began_s == pytest.approx(20 - 0.5 - 0.003)


@given(st.lists(st.integers(1, 40), max_size=20))
def test_rows_may_be_cut_anywhere(cuts: list[int]) -> None:
    whole = HEADER + rows(5_000_000, 1) + rows(6_000_000, 2, status=503) + rows(7_000_000, 3)
    pieces, at = [], 0
    for cut in cuts:
        pieces.append(whole[at : at + cut])
        at += cut
    samples = fed(*pieces, whole[at:]).clusters["one"]
    assert list(samples.latency_ms) == [1, 2, 3]
    assert list(samples.status) == [200, 503, 200]
    assert samples.targets == {"a": 2}


def test_columns_are_found_by_name() -> None:
    header = "metric_name,timestamp,metric_value,status,scenario,error_code,extra_tags\n"
    samples = fed(header, "http_req_duration,1000000,4.0,404,one,1404,\n").clusters["one"]
    assert (list(samples.status), list(samples.error_code)) == ([404], [1404])


def test_a_quoted_field_is_one_field() -> None:
    row = 'checks,1,1.000000,,,one,,"target=a,b",\n'
    assert fed(HEADER, row).clusters["one"].targets == {"a,b": 1}


def test_targets_that_change_their_name_are_bounded() -> None:
    many = "".join(rows(1, 1, target=f"t{at}") for at in range(MOST_TARGETS + 5))
    targets = fed(HEADER, many).clusters["one"].targets
    assert len(targets) == MOST_TARGETS + 1
    assert targets[OTHER_TARGETS] == 5


def test_dropped_arrivals_are_counted() -> None:
    row = "dropped_iterations,1,3.000000,,,one,,,\n"
    assert fed(HEADER, row, row).clusters["one"].dropped == 6


def test_samples_of_unknown_scenarios_are_not_ours() -> None:
    assert len(fed(HEADER, rows(1, 1).replace(",one,", ",two,")).clusters["one"]) == 0


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (503, 1503, "status 503"),
        (0, 1212, "connection refused"),
        (0, 1050, "timeout"),
        (0, 1310, "TLS error"),
        (0, 4711, "k6 error 4711"),
    ],
)
def test_a_failure_has_its_cause_in_words(status: int, code: int, words: str) -> None:
    assert failure_cause(status, code) == words
