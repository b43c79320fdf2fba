"""Scenario files: ours can be read, and what is wrong with one is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.arena import cells
from loadtest.arena.__main__ import MATRIX, SCENARIOS
from loadtest.arena.files import BadScenario, read_scenarios
from loadtest.arena.scenario import Hedge
from loadtest.arena.work import Pareto


def test_the_matrix_holds_every_value_of_every_axis() -> None:
    scenarios = read_scenarios(MATRIX)
    names = [scenario.name for scenario in scenarios]
    assert len(set(names)) == 24
    assert all(scenario.why for scenario in scenarios)
    words = [name.replace(",", "").split() for name in names]  # 1:2 steady 0.7 4 x 100
    axes = (cells.SPEEDS, cells.WHAT, cells.LOADS, cells.BALANCERS, cells.TARGETS)
    for place, values in zip((0, 1, 2, 3, 5), axes, strict=True):
        assert {word[place] for word in words} == {str(value) for value in values}


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_file_of_ours_can_be_read(path: Path) -> None:
    scenarios = read_scenarios(path)
    assert all(scenario.rate > 0 and scenario.why for scenario in scenarios)
    assert path.read_text().startswith("#")  # what it stands for


def test_a_scenario_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "{name: mine, load: 0.5, machines: [{count: 2, slots: 1}],"
        " work: {pareto: {shape: 3}}, happenings: [{pauses: {count: 0}}], processes: 2,"
        " hedge: {budget: 0.2}}"
    )
    (scenario,) = read_scenarios(path)
    assert scenario.work == Pareto(shape=3.0)
    assert (scenario.size, scenario.processes) == (2, 2)
    assert scenario.hedge == Hedge(after=0.95, budget=0.2)


def test_a_cell_with_other_settings_says_so_in_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("{cell: ['1:1', steady, 0.5, 4, 8], subset: 3, news_s: 0.5, why: to see}")
    (scenario,) = read_scenarios(path)
    assert scenario.name == "1:1 steady 0.5, 4 x 8, subset 3, news_s 0.5"
    assert (scenario.subset, scenario.news_s, scenario.why) == (3, 0.5, "to see")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{load: 1, machines: [{count: 1}]}", "'name' is missing"),
        ("{name: a, load: 1, machines: [{cores: 1}]}", "machines: .*count"),
        ("{name: a, load: 1, machines: [{count: 1, cpus: 1}]}", "no such setting: cpus"),
        ("{name: a, load: much, machines: [{count: 1}]}", "load: Expected `float`"),
        ("{name: a, load: 1, machines: [{count: 1}], speed: 1}", "no such setting: 'speed'"),
        ("{name: a, load: 1, machines: [{count: 1}], work: {gamma: {}}}", "no 'gamma'"),
        ("{name: a, load: 1, machines: [{count: 1}], hedge: {budget: 2}}", "hedge: .*are shares"),
        ("[3]", "scenario 1: must be a mapping"),
        ("{cell: ['2:1', steady, 0.5, 1, 8]}", "speeds '2:1'"),
        ("{cell: ['1:1', steady, 0.5, 1, 8], subsets: 4}", "no such setting: 'subsets'"),
        ("{", "own.yaml: while parsing"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(BadScenario, match=words):
        read_scenarios(path)
