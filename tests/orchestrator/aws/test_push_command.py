"""`steelyard images push | remove` as a user types them; the engine is a stub, ECR is emulated."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator import images_cli
from orchestrator.commands import app
from tests.emulated import emulated
from tests.orchestrator.aws.account import SETTINGS
from tests.orchestrator.aws.test_ecr import Engine

HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    stub = Engine()

    @contextmanager
    def connected() -> Iterator[Engine]:
        yield stub

    monkeypatch.setattr(images_cli, "connected", connected)
    monkeypatch.delenv("REGISTRY", raising=False)
    monkeypatch.chdir(tmp_path)
    with emulated():
        yield stub


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["images", *arguments], input=answer)


def test_ecr_is_where_the_file_says(engine: Engine) -> None:
    Path("deploy.yaml").write_text(SETTINGS)
    first = run("push")
    assert first.exit_code == 0, first.output
    assert f"pushed {HOST}/steelyard-worker:{'a' * 16} sha256:" in first.stdout
    again = run("push")
    assert f"already there: {HOST}/steelyard-balancer:{'a' * 16} sha256:" in again.stdout
    assert "auth-token" not in first.output + again.output

    assert run("remove", answer="n\n").exit_code == 1
    gone = run("remove", "--yes")
    assert "deleted: steelyard-worker, steelyard-balancer" in gone.stdout
    assert "no repository of ours" in run("remove", "--yes").stdout


def test_ecr_is_known_by_its_host_name(engine: Engine) -> None:
    assert run("push", "--registry", HOST).exit_code == 0
    assert [name.partition("/")[0] for name in engine.sent] == [HOST] * 2


def test_another_account_s_registry_is_refused_before_anything_is_made(engine: Engine) -> None:
    other = HOST.replace("123456789012", "210987654321")
    refused = run("push", "--registry", other)
    assert refused.exit_code == 1
    assert "the keys are of account 123456789012" in refused.stderr
    assert engine.sent == []


def test_without_registry_and_file_it_says_what_is_missing(engine: Engine) -> None:
    refused = run("push")
    assert refused.exit_code == 1
    assert "there is no deploy.yaml" in refused.stderr
    assert engine.sent == []


def test_another_registry_gets_latest_too(engine: Engine) -> None:
    Path("deploy.yaml").write_text(SETTINGS)
    engine.to_ecr = False
    assert run("push", "--registry", "localhost:5000").exit_code == 0
    assert "localhost:5000/steelyard-worker:latest" in engine.sent


def test_a_mistake_in_the_file_is_a_line(engine: Engine) -> None:
    Path("deploy.yaml").write_text(SETTINGS.replace("t2.micro", "t9.micro"))
    refused = run("push")
    assert refused.exit_code == 2
    assert "t9.micro" in refused.stderr
