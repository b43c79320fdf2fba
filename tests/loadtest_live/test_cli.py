"""What cannot be done is said before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from loadtest.arena.files import read_scenarios
from loadtest.live.__main__ import FIRST_SEED, SCENARIOS, main
from loadtest.live.schedule import schedule

APP = typer.Typer()
APP.command()(main)


def test_every_scenario_of_ours_can_be_run_live() -> None:
    for scenario in read_scenarios(SCENARIOS):
        plan = schedule(scenario, FIRST_SEED)
        assert plan.requests[-1][0] < 20.0, "a turn is short: contenders take turns for minutes"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--contenders", "steelyard,nobody"], "unknown policy 'nobody'"),
        (["--contenders", ","], "no contender is named"),
        (["--only", "nothing"], "no scenario is called 'nothing'"),
        (["--scenario", "{crash}"], "Crash cannot be run live"),
        (["--scenario", "{none}"], "No such file"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    crash = tmp_path / "crash.yaml"
    crash.write_text(
        "{name: antagonist, load: 0.5, machines: [{count: 2}], happenings: [{crash: {}}]}"
    )
    places = {"{crash}": str(crash), "{none}": str(tmp_path / "none.yaml")}
    done = CliRunner().invoke(APP, [places.get(each, each) for each in arguments])
    assert done.exit_code == 2, done.output
    assert words in " ".join(done.output.split())
