"""An account for every test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.utils import parse_user_data

from tests.orchestrator.aws.account import Account, an_account


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture(autouse=True)
def _versions_with_user_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto 5.2.5 cannot launch from a second version of a template: its user data stays text."""
    plain = LaunchTemplate.create_version

    def create_version(
        self: LaunchTemplate, data: dict[str, Any], description: str
    ) -> LaunchTemplateVersion:
        if isinstance(data.get("UserData"), str):
            data = {**data, "UserData": parse_user_data(data["UserData"])}
        return plain(self, data, description)

    monkeypatch.setattr(LaunchTemplate, "create_version", create_version)


@pytest.fixture(autouse=True)
def _templates_with_their_present_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto 5.2.5 shows a launch template's tags as they were at its creation."""
    present = property(LaunchTemplate.get_tags, lambda _self, _tags: None)
    monkeypatch.setattr(LaunchTemplate, "tags", present, raising=False)


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with an_account(tmp_path) as made:
        yield made
