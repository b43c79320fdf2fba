"""Images built once, and one fleet up for all the stories that leave it as they found it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator import images
from orchestrator.engine import connected
from tests.compose.fleet import Fleet, docker


@pytest.fixture(scope="session")
def built() -> dict[str, images.BuiltImage]:
    """Both images by room, of the base that PYTHON_IMAGE names. No engine is an error, no skip."""
    return {room: image_of(room) for room in images.ROOMS}


@pytest.fixture(scope="session")
def compiled(built: dict[str, images.BuiltImage]) -> images.BuiltImage:
    """The balancer as `make images` has it; `latest` stays the plain one."""
    made, plain = image_of("balancer", compiled=True), built["balancer"]
    docker("tag", plain.reference, f"{plain.name}:{images.LATEST}")
    return made


def image_of(room: str, *, compiled: bool = False) -> images.BuiltImage:
    with connected() as client:
        name = os.environ.get(images.ENV_BASE, images.DEFAULT_BASE)
        base = images.find_base(client, name, lambda _: None)
        ca = os.environ.get("PIP_CERT")
        plan = images.plan_image(
            images.ROOT, room, base, ca=Path(ca) if ca else None, compiled=compiled
        )
        return images.build(client, plan, lambda _: None)


def fresh_fleet(name: str) -> Fleet:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as other,
    ):
        return Fleet(
            project=f"steelyard-test-{os.getpid()}-{name}",
            port=one.getsockname()[1],
            admin_port=other.getsockname()[1],
        )


@pytest.fixture(scope="session")
def fleet(built: dict[str, images.BuiltImage]) -> Iterator[Fleet]:
    """4 + 4 workers and the balancer, all healthy; gone afterwards, whatever happened."""
    fleet = fresh_fleet("shared")
    try:
        fleet.up()
        yield fleet
    finally:
        fleet.down()


@pytest.fixture
def small_fleet(built: dict[str, images.BuiltImage]) -> Iterator[Fleet]:
    """A fleet of one worker a cluster, not started."""
    fleet = fresh_fleet("small")
    try:
        yield fleet
    finally:
        fleet.down()
