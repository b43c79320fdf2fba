"""A short run with real processes: four faults, nothing lost."""

from __future__ import annotations

from pathlib import Path

from loadtest.chaos.drive import Plan, drive
from loadtest.chaos.plan import Kind
from loadtest.chaos.report import lines

SHORT = Plan(
    seed=1,
    rate=150.0,
    hold_s=0.4,
    calm_s=0.1,
    warm_s=1.0,
    kinds=(Kind.TARGET_KILL, Kind.RESETS, Kind.GARBAGE, Kind.DATAPLANE_KILL),
    strikes=4,
)


async def test_nothing_is_lost_that_could_have_been_kept(tmp_path: Path) -> None:
    told: list[str] = []
    outcome = await drive(SHORT, tmp_path, told.append)
    report = "\n".join(
        [*told, *lines(outcome.verdict, outcome.ending, seconds=outcome.seconds, late_s=0.0)]
    )
    assert outcome.verdict.held, report
    assert outcome.verdict.sent.total() > 300
    assert outcome.verdict.strikes.total() == len(told) == 4
    assert "held: nothing was lost" in report
