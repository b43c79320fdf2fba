"""Runs that were done are not done again: by the same scenario, policy and seed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.arena import Group, Scenario, compare
from loadtest.arena.__main__ import part_of
from loadtest.arena.compare import ORACLES, Figures
from loadtest.arena.kept import BadKeeping, Kept

SMALL = Scenario(name="small", machines=(Group(count=2),), load=0.5, requests=50, warmup_s=0.1)


def test_what_is_kept_is_not_run_again(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    kept = Kept(path)
    (first,) = compare([SMALL], ["p2c"], range(2), known=kept.get, on_run=kept.add)
    assert kept.added == first.requests
    again = Kept(path)
    ran: list[tuple[str, int]] = []

    def note(scenario: Scenario, policy: str, seed: int, figures: Figures) -> None:
        ran.append((policy, seed))

    called = replace(SMALL, name="another name", why="another reason")
    (second,) = compare([called], ["p2c"], range(3), known=again.get, on_run=note)
    assert ran == [(policy, 2) for policy in (*ORACLES, "p2c")]
    assert second.figures["p2c"][:2] == first.figures["p2c"]
    assert again.get(replace(SMALL, load=0.6), "p2c", 0) is None
    assert again.all_of(called, [*ORACLES, "p2c"], range(2))
    assert not again.all_of(called, [*ORACLES, "p2c"], range(3))
    assert not again.all_of(called, ["p2c", "prequal"], range(2))


def test_a_file_of_something_else_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "runs"
    compare([SMALL], [], [0], on_run=Kept(path).add)
    path.write_text(path.read_text() + "{}\n")
    with pytest.raises(BadKeeping, match=r"runs:3: not a kept run"):
        Kept(path)


def test_parts_are_all_in_sum() -> None:
    scenarios = [replace(SMALL, name=str(number)) for number in range(7)]
    parts = [part_of(scenarios, f"{number}/3") for number in (1, 2, 3)]
    assert [s.name for part in parts for s in part] == ["0", "3", "6", "1", "4", "2", "5"]
    for wrong in ("0/3", "4/3", "1", "x/y"):
        with pytest.raises(ValueError, match="like 2/5"):
            part_of(scenarios, wrong)
