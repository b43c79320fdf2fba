"""moto's AWS with few machine images: it makes hundreds anew for every test, twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final
from unittest.mock import patch

from moto import mock_aws
from moto.ec2.models import amis
from moto.utilities.utils import load_resource

ANY_IMAGE: Final = "ami-12c6146b"
_LATEST: Final = "al2023-ami-2023"  # what the orchestrator finds by its SSM parameter


def _wanted(image: dict[str, Any]) -> bool:
    return image["ami_id"] == ANY_IMAGE or str(image["name"]).startswith(_LATEST)


@cache
def _few(path: str) -> tuple[dict[str, Any], ...]:
    return tuple(image for image in load_resource(path) if _wanted(image))


def _copies(path: str) -> list[dict[str, Any]]:
    return [dict(image) for image in _few(path)]  # moto writes into them


@contextmanager
def emulated() -> Iterator[None]:
    """An empty account in every region, for as long as this lasts."""
    few = [image for image in amis.AMIS if _wanted(image)]
    with (
        patch.object(amis, "AMIS", few),
        patch.object(amis, "load_resource", _copies),
        mock_aws(),
    ):
        yield
