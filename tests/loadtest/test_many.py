"""Ten thousand targets beside ten: each measurement, in small, and what is made of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtest.arena.picks import costs
from loadtest.builds import TITLES
from loadtest.many import Picks, Pictures, markdown, marks
from loadtest.page import rewrite
from loadtest.snapshot import take_in


@pytest.fixture
def collector() -> Iterator[None]:
    """As it was, after the measurement has set it as a data-plane process does."""
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
    gc.enable()


@pytest.mark.usefixtures("collector")
def test_a_picture_is_taken_in_and_timed() -> None:
    taken = take_in("weighted_round_robin", count=100)
    assert list(taken) == ["the first", "the same again", "half of them others"]
    for one in taken.values():
        assert 0.0 < one.seconds < 10.0
        assert 0.0 < one.longest_ms < 1000.0


@pytest.mark.usefixtures("collector")
def test_no_look_for_cycles_holds_up_who_takes_in_targets() -> None:
    looks: list[int] = []

    def look(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            looks.append(info["generation"])

    gc.callbacks.append(look)
    try:
        take_in("peak_ewma", count=8000)
    finally:
        gc.callbacks.remove(look)
    assert looks == [2]  # before it began


@pytest.mark.parametrize("policy", ["steelyard", "consistent_hash"])
def test_picks_are_measured_by_size(policy: str) -> None:
    cells = costs(policy, (10, 40), rounds=1, processes=2, news=True)
    assert len(cells) == 2
    assert all(0.0 < cell.pick_us < 1000.0 and cell.whole_us < 1000.0 for cell in cells)


def test_the_marks_are_the_worst_of_each() -> None:
    picks: Picks = {title: {"p2c": [1.0, 4.0, 1.4, 4.4]} for title in TITLES}
    picks["compiled"]["p2c"][2] = 1.6
    one = {
        "the first": {"seconds": 0.9, "longest_ms": 4.0},
        "the same again": {"seconds": 2.0, "longest_ms": 6.0},
    }
    pictures: Pictures = {title: {"p2c": one} for title in TITLES}
    missed = [str(mark) for mark in marks(picks, pictures) if not mark.kept]
    assert len(missed) == 3
    assert all(said in markdown(picks, pictures) for said in missed)


def test_a_page_keeps_what_is_around_its_part(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    begin = "<!-- x: begin; written by `make x`, edits are lost -->"
    file.write_text(f"before\n{begin}\nold\n<!-- x: end -->\nafter\n")
    rewrite(file, "x", "make x", "new\n")
    assert file.read_text() == f"before\n{begin}\n\nnew\n\n<!-- x: end -->\nafter\n"
    with pytest.raises(ValueError, match="lost its markers"):
        rewrite(file, "y", "make y", "new")
