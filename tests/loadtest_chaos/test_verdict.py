"""What the verdict forgives and what not; it is worth what it catches."""

from __future__ import annotations

from collections import Counter

import pytest

from loadtest.chaos.balancer import Held
from loadtest.chaos.connection import Outcome, Record
from loadtest.chaos.faults import Strike
from loadtest.chaos.plan import Fault, Kind
from loadtest.chaos.verdict import BETWEEN, Cause, Ending, grown, judge

MIB = 1024 * 1024
CALM = Ending(start=[], end=[], pending=0, unasked=0)


def record(outcome: Outcome, *, method: str = "GET", at: float = 10.0, detail: str = "") -> Record:
    return Record(
        f"{method[0]}-1", method, 20, at, ended=at + 0.1, outcome=outcome, detail=detail, port=5000
    )


def strike(kind: Kind, *, held: frozenset[int] = frozenset(), variant: int = 0) -> Strike:
    return Strike(Fault(kind, 0, variant), began=9.0, whole=12.0, held=held)


def cause(one: Record, *strikes: Strike) -> Cause:
    verdict = judge([one], strikes, Counter(), CALM)
    ((_, found),) = verdict.failed
    assert verdict.held is found.allowed(one.method)
    return found


def test_all_answered_holds() -> None:
    verdict = judge([record(Outcome.ANSWERED)], [], Counter({"G-1": 2}), CALM)
    assert verdict.held  # a GET may reach two targets
    assert verdict.answered == verdict.sent == Counter(GET=1)


def test_what_a_killed_process_held_is_forgiven_and_nothing_else_of_that_moment() -> None:
    lost = record(Outcome.LOST)
    assert cause(lost, strike(Kind.DATAPLANE_KILL, held=frozenset({5000}))) is Cause.HELD
    assert cause(lost, strike(Kind.DATAPLANE_KILL, held=frozenset({5001}))) is Cause.LOST
    late = record(Outcome.LOST, at=13.0)
    assert cause(late, strike(Kind.DATAPLANE_KILL, held=frozenset({5000}))) is Cause.LOST


def test_a_flood_may_cost_new_connections_alone() -> None:
    old, new = record(Outcome.LOST), record(Outcome.LOST)
    new.fresh = True
    assert cause(old, strike(Kind.DESCRIPTORS)) is Cause.LOST
    assert cause(new, strike(Kind.DESCRIPTORS)) is Cause.ACCEPT
    assert cause(new, strike(Kind.RELOAD)) is Cause.LOST


@pytest.mark.parametrize(
    ("method", "detail", "expected", "allowed"),
    [
        ("GET", "502 bad_gateway", Cause.TARGET, False),
        ("POST", "502 bad_gateway", Cause.TARGET, True),
        ("GET", "504 gateway_timeout", Cause.TIMEOUT, False),
        ("POST", "504 gateway_timeout", Cause.TIMEOUT, True),
        ("POST", "503 no_eligible_target", Cause.NO_TARGET, False),
        ("GET", "400 malformed_request", Cause.OTHER, False),
    ],
)
def test_refusals(method: str, detail: str, expected: Cause, allowed: bool) -> None:
    found = cause(record(Outcome.REFUSED, method=method, detail=detail), strike(Kind.RESETS))
    assert found is expected
    assert found.allowed(method) is allowed


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "outcome", [Outcome.WRONG, Outcome.HUNG, Outcome.UNCONNECTED, Outcome.UNSENT]
)
def test_never_forgiven(outcome: Outcome, method: str) -> None:
    assert not cause(record(outcome, method=method), strike(Kind.DATAPLANE_KILL)).allowed(method)


def test_no_descriptor_is_forgiven_where_they_were_taken_away() -> None:
    starved = record(Outcome.REFUSED, detail="503 out_of_descriptors")
    assert cause(starved, strike(Kind.DESCRIPTORS, variant=1)) is Cause.NO_DESCRIPTOR
    assert cause(starved, strike(Kind.RELOAD)) is Cause.NO_TARGET
    broken = record(Outcome.REFUSED, detail="502 bad_gateway")
    assert cause(broken, strike(Kind.DESCRIPTORS, variant=1)) is Cause.TARGET


def test_a_post_that_two_targets_saw_is_found() -> None:
    one = record(Outcome.ANSWERED, method="POST")
    assert judge([one], [], Counter({"P-1": 1}), CALM).held
    verdict = judge([one], [], Counter({"P-1": 2}), CALM)
    assert verdict.twice == ("P-1",)
    assert not verdict.held


def test_an_answer_from_nowhere_is_found() -> None:
    assert judge([record(Outcome.ANSWERED)], [], Counter(), CALM).unseen == ("G-1",)


def test_the_end_must_be_as_the_start() -> None:
    ending = Ending(start=[], end=[], pending=2, unasked=1)
    assert len(judge([], [], Counter(), ending).problems) == 2
    start = [Held("control", 1, 60 * MIB, 20), Held("dataplane", 2, 30 * MIB, 17)]
    same = [Held("control", 9, 65 * MIB, 20), Held("dataplane", 2, 31 * MIB, 16)]
    assert grown(start, same) == []
    worse = [Held("control", 1, 80 * MIB, 20), Held("dataplane", 2, 30 * MIB, 18)]
    assert grown(start, worse) == [
        "control grew from 60 to 80 MiB",
        "dataplane holds 18 descriptors, at the start 17",
    ]
    assert grown(start, start[:1]) == ["0 dataplane processes, at the start 1"]


def test_a_fault_that_is_not_overcome_counts() -> None:
    stuck = Strike(Fault(Kind.DRAIN, 0, 0), 1.0, 31.0, problem="not whole within 30 s")
    verdict = judge([], [stuck], Counter(), CALM)
    assert verdict.problems == ("drain (0.0): not whole within 30 s",)


def test_failures_are_put_to_the_fault_of_their_time() -> None:
    calm, struck = record(Outcome.LOST, at=3.0), record(Outcome.LOST)
    verdict = judge([calm, struck], [strike(Kind.DRAIN)], Counter(), CALM)
    assert {where for where, _, _ in verdict.by_fault} == {BETWEEN, "drain"}
