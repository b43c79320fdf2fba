"""The commands as a user types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator.aws.wait import Patience
from orchestrator.clouds import Pace
from orchestrator.commands import app
from orchestrator.deploy.commands import life, look, terminal
from tests.orchestrator.aws.account import SETTINGS, WHOLE, Account
from tests.orchestrator.aws.fleet import a_fleet
from tests.stand.proc import PATIENCE_S


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    quick = Pace(patience=Patience(PATIENCE_S, 0), settle=Patience(0, 0), notice_s=0)
    for module in (terminal, life, look):
        monkeypatch.setattr(module, "pace", lambda: quick)
    monkeypatch.setenv("STEELYARD_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("COLUMNS", "200")
    path = tmp_path / "deploy.yaml"
    path.write_text(SETTINGS)
    monkeypatch.setattr(life, "status_of", lambda _url: 200)
    with a_fleet():
        yield path


def run(*arguments: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=answer)


def test_a_life(account: Account, file: Path) -> None:
    shown = run("plan", "-f", file)
    assert shown.exit_code == 0, shown.output
    assert "15 to create, 0 to change" in shown.output
    assert "not checked" in shown.output
    assert run("up", "-f", file, answer="n\n").exit_code == 1
    assert account.things() == {}

    built = run("up", "-f", file, "--yes")
    assert built.exit_code == 0, built.output
    assert "http://" in built.output
    assert account.things() == WHOLE
    shown = run("status", "-f", file)
    assert "1 of 1 in service" in shown.output
    assert shown.output.count("healthy") == 3
    (line,) = [each for each in shown.output.splitlines() if "http://" in each]
    told = json.loads(run("status", "--json", "-f", file).output)
    assert [f"{one['front']}: {one['url']}/" for one in told["addresses"]] == [line]
    assert line.startswith("balancer: http://")
    machines = told["machines"]
    assert all(one["current"] for one in machines)
    worker = next(one["id"] for one in machines if one["of"] == "cluster2")
    scaled = run("scale", "cluster2=3", "-f", file)
    assert scaled.exit_code == 0, scaled.output
    assert "3 of 3 in service" in run("status", "-f", file).output
    assert run("scale", "cluster2=1", "-f", file).exit_code == 0
    assert "1 of 1 in service" in run("status", "-f", file).output
    assert "max 3 stands in the way" in run("scale", "cluster2=4", "-f", file).stderr
    assert "is drained" in run("drain", worker, "-f", file).output
    assert "takes requests again" in run("drain", worker, "--undo", "-f", file).output
    assert run("exec", worker, "-f", file, "--", "true").exit_code == 0
    assert run("logs", "-f", file).exit_code == 0

    gone = run("down", "-f", file, answer="y\n")
    assert "nothing is left" in gone.output, gone.output
    assert account.things() == {}
    assert "nothing is there" in run("status", "-f", file).output


def test_mistakes_are_lines_and_not_tracebacks(file: Path) -> None:
    file.write_text(SETTINGS.replace("t2.micro", "t9.micro").replace("name: demo", "name: D"))
    shown = run("plan", "-f", file)
    assert shown.exit_code == 2
    assert len(shown.stderr.splitlines()) == 2


def test_kill_ends_every_deployment(account: Account, file: Path) -> None:
    account.up()
    killed = run("kill", "--yes", "--region", "eu-west-1", "--region", "us-east-1")
    assert killed.exit_code == 0, killed.output
    assert "machines, 14 things" in killed.output  # moto ends a group's machines when it is emptied
    assert account.things() == {}
