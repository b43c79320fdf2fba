"""Ratios are of rounds; every pair that the simulator orders otherwise is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.arena import Group, Scenario
from loadtest.arena.compare import ORACLE, Figures
from loadtest.live import report
from loadtest.live.judge import Result, disagreements, marks, order, rows, strains
from loadtest.live.rounds import Turn, percentile

SCENARIO = Scenario(name="made up", why="to be judged", machines=(Group(count=2),), load=0.5)


def turn(contender: str, round_: int, p99_s: float, late_s: float = 0.001) -> Turn:
    return Turn(
        contender=contender,
        round=round_,
        p50_s=p99_s / 10,
        p99_s=p99_s,
        mean_s=p99_s / 8,
        requests=100,
        failures={},
        late_p99_s=late_s,
        look_p99_s=0.002,
        busy=0.5,
        proxy_cpu_s=0.1,
        workers_cpu_s=0.2,
    )


def figures(*p99_s: float) -> tuple[Figures, ...]:
    return tuple(Figures(each / 10, each, each, each / 8, 0.0, 100) for each in p99_s)


LIVE = {
    "steelyard": (0.1, 0.3, 0.2),
    "nginx": (0.2, 0.4, 0.3),
    "haproxy": (0.25, 0.3, 0.5),
    "envoy": (0.15, 0.6, 0.4),
}
RESULT = Result(
    SCENARIO,
    (100, 101, 102),
    tuple(LIVE),
    tuple(turn(name, at, each) for name, all_ in LIVE.items() for at, each in enumerate(all_)),
    {
        ORACLE: figures(0.1, 0.1, 0.1),
        "steelyard": figures(0.1, 0.1, 0.1),
        "least_pending": figures(0.3, 0.3, 0.3),
        "p2c": figures(0.2, 0.2, 0.2),
    },
)


def test_ratios_are_medians_of_the_rounds_own() -> None:
    ours = rows(RESULT)[0]
    assert ours.contender == "steelyard"
    # the better of the two others is another one each round: 0.1/0.2, 0.3/0.3, 0.2/0.3
    assert ours.to_best == pytest.approx(2 / 3)
    assert ours.to_envoy == pytest.approx(0.5)  # of 2/3, 1/2, 1/2
    assert (ours.live_s, ours.low_s, ours.high_s) == (0.2, 0.1, 0.3)
    assert ours.error == pytest.approx(-0.5)


def test_a_pair_in_another_order_is_told_and_how_sure_that_is() -> None:
    told = {(each.first, each.second): each for each in disagreements(RESULT)}
    # Simulated Envoy (0.2) is before both others (0.3); live nginx was before it in two rounds of
    # three, HAProxy in one. Of nginx and HAProxy the simulator claims nothing.
    assert set(told) == {("envoy", "nginx")}
    nginx = told["envoy", "nginx"]
    assert nginx.simulated == pytest.approx(1.5)
    assert nginx.live == pytest.approx(0.75)  # of 4/3, 2/3, 3/4
    assert not nginx.clear


def test_orders() -> None:
    assert order(RESULT, live=True) == ["steelyard", "nginx", "haproxy", "envoy"]
    assert order(RESULT, live=False) == ["steelyard", "p2c", "least_pending"]


def test_marks_need_whom_they_are_against() -> None:
    assert [(mark.bound, mark.kept) for mark in marks(RESULT)] == [(0.85, True), (0.45, False)]
    alone = Result(SCENARIO, (100,), ("steelyard",), RESULT.turns[:1], RESULT.simulated)
    assert marks(alone) == []


def test_a_machine_in_the_way_is_named() -> None:
    late = Result(
        SCENARIO,
        (100,),
        ("steelyard",),
        (turn("steelyard", 0, 0.1, late_s=0.03),),
        RESULT.simulated,
    )
    assert strains(RESULT) == []
    assert strains(late) == ["round 1, steelyard: requests left up to 30 ms late (p99)"]
    assert "IN THE WAY in 1 of 1" in report.machine(late)


def test_a_turn_that_was_done_again_does_not_count() -> None:
    spoilt = replace(turn("steelyard", 0, 9.0, late_s=0.03), counts=False)
    again = replace(RESULT, tried=(spoilt, *RESULT.tried))
    assert rows(again) == rows(RESULT)
    assert strains(again) == []
    assert "1 disturbed turns were done again: not in the way" in report.machine(again)


def test_nearest_rank() -> None:
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0
    assert percentile([], 0.5) == 0.0


def test_the_document_keeps_what_is_around(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- arena: live -->\nold\n<!-- /arena: live -->\nafter\n")
    report.update_docs([RESULT], "Measured.", page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "disagreement: simulated Envoy LEAST_REQUEST before nginx least_conn" in text
    assert "MISSED" in text
