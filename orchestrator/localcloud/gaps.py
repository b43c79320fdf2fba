"""Where moto 5.2.5 forgets what it was told, for the tests and for the local cloud alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from moto.ec2.models.launch_templates import LaunchTemplate, LaunchTemplateVersion
from moto.ec2.utils import parse_user_data


@contextmanager
def filled() -> Iterator[None]:
    """While this lasts, launch templates keep what they were given."""
    plain = LaunchTemplate.create_version

    def create_version(
        self: LaunchTemplate, data: dict[str, Any], description: str
    ) -> LaunchTemplateVersion:
        """The user data of a second version would stay text, and launching from it fails."""
        if isinstance(data.get("UserData"), str):
            data = {**data, "UserData": parse_user_data(data["UserData"])}
        return plain(self, data, description)

    # Shown tags would stay those of the template's creation.
    present = property(LaunchTemplate.get_tags, lambda _self, _tags: None)
    with (
        patch.object(LaunchTemplate, "create_version", create_version),
        patch.object(LaunchTemplate, "tags", present, create=True),
    ):
        yield
