from __future__ import annotations

from typing import Any

import pytest

from loadtest.generator import EXIT_MEANING, exit_meaning
from loadtest.verdict import Outcome, Threshold, Verdict, judge, thresholds
from tests.loadtest.made import PLAN, steady


def verdict(**changes: Any) -> Verdict:
    known: dict[str, Any] = {
        "requests": {"cluster1": 1000},
        "failed_requests": {"cluster1": 0},
        "dropped": {"cluster1": 0},
        "met": (Threshold("cluster1", "checks", "rate>=1", True),),
        "exit_codes": [0],
        "interrupted": False,
    }
    return judge(changes.pop("plan", PLAN), **known | changes)


def test_all_met_passes() -> None:
    assert verdict() == Verdict(Outcome.PASSED, ())


def test_a_threshold_not_met_fails_in_plain_words() -> None:
    unmet = tuple(
        Threshold("cluster1", metric, "rate", False) for metric in ("checks", "http_req_failed")
    )
    found = verdict(met=unmet, failed_requests={"cluster1": 7}, exit_codes=[99])
    assert found == Verdict(Outcome.FAILED, ("cluster1: 7 of 1,000 requests failed",))


def test_no_request_at_all_is_a_failure_although_k6_is_content() -> None:
    assert verdict(requests={"cluster1": 0}).outcome is Outcome.FAILED


def test_fewer_requests_than_asked_for_is_a_failure() -> None:
    assert verdict(requests={"cluster1": 999}).reasons == (
        "cluster1: 999 of 1000 requests were made",
    )


@pytest.mark.parametrize(
    ("dropped", "outcome"), [(0, Outcome.PASSED), (1, Outcome.PASSED), (2, Outcome.SATURATED)]
)
def test_a_saturated_generator_is_not_a_result(dropped: int, outcome: Outcome) -> None:
    found = verdict(plan=steady(), dropped={"cluster1": dropped})
    assert found.outcome is outcome


def test_saturated_comes_before_failed_and_both_are_told() -> None:
    unmet = (Threshold("cluster1", "http_req_duration", "p(99)<5", False),)
    found = verdict(plan=steady(), dropped={"cluster1": 100}, met=unmet, exit_codes=[99])
    assert found.outcome is Outcome.SATURATED
    assert len(found.reasons) == 2
    assert "not a result" in found.outcome.value
    assert found.outcome.exit_code not in (0, 1)


@pytest.mark.parametrize("code", [c for c in EXIT_MEANING if c not in (0, 99)] + [-9, 77])
def test_any_other_end_of_k6_is_told_in_one_line(code: int) -> None:
    found = verdict(exit_codes=[0, code], last_words="no such thing")
    assert found.outcome is Outcome.BROKEN
    assert found.reasons[0].startswith("k6")
    assert "no such thing" in found.reasons[0]
    assert "\n" not in exit_meaning(code)


@pytest.mark.parametrize("code", [103, 105, 99, 0])
def test_an_interrupted_run_is_not_broken(code: int) -> None:
    found = verdict(interrupted=True, exit_codes=[code], requests={"cluster1": 10})
    assert found == Verdict(Outcome.INTERRUPTED, ("stopped before its end",))


def test_signals_have_names() -> None:
    assert exit_meaning(-9) == "k6 was ended by SIGKILL"


def test_thresholds_come_out_of_the_summary() -> None:
    summary = {
        "metrics": {
            "checks{scenario:a}": {"thresholds": {"rate>=1": {"ok": False}}},
            "http_req_duration{scenario:a,expected_response:true}": {
                "thresholds": {"p(95)<5": {"ok": True}}
            },
            "vus": {"values": {}},
        }
    }
    assert thresholds(summary) == (
        Threshold("a", "checks", "rate>=1", False),
        Threshold("a", "http_req_duration", "p(95)<5", True),
    )
