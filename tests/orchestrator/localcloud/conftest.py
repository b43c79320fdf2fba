"""A cloud for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.orchestrator.localcloud.cloud import Cloud, a_cloud, an_account


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(scope="module")
def account() -> Iterator[None]:
    with an_account():
        yield


@pytest.fixture
def cloud(account: None) -> Iterator[Cloud]:
    with a_cloud() as made:
        yield made
