"""An account for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.localcloud.gaps import filled
from tests.orchestrator.aws.account import Account, an_account
from tests.orchestrator.aws.fleet import Fleet, a_fleet


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def _no_power_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process wrote outlives it without the disk; none of the tests pulls the plug."""
    monkeypatch.setattr("orchestrator.deploy.journal.os.fsync", lambda _: None)


@pytest.fixture(autouse=True)
def _gaps_of_the_emulator() -> Iterator[None]:
    with filled():
        yield


@pytest.fixture(autouse=True)
def machines() -> Iterator[Fleet]:
    """What the machines answer by SSM; everything is healthy."""
    with a_fleet() as made:
        yield made


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with an_account(tmp_path) as made:
        yield made
