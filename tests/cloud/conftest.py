"""One local cloud for the whole story: images in its registry, a deployment that comes and goes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from orchestrator import images
from orchestrator.engine import connected
from orchestrator.localcloud.attach import stop
from tests.cloud.account import REGION, User

# Both clusters are small: what is shown does not depend on how many there are. The first one's work
# makes a machine busy enough that its policy asks for more.
SETTINGS = f"""\
name: life
region: {REGION}
clusters:
  - name: cluster1
    type: t2.micro
    work_ms: 4
    scale: {{min: 1, max: 2, desired: 1, cpu_percent: 50, cooldown_s: 60}}
  - name: cluster2
    type: t2.large
    count: 2
    spot: true
balancer: {{type: t3.small}}
access: [0.0.0.0/0]
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    with connected() as client:
        yield client


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, engine: docker.DockerClient) -> Iterator[User]:
    folder = tmp_path_factory.mktemp("user")
    user = User(folder, SETTINGS)
    user.file.write_text(user.settings)
    _build(engine)
    try:
        yield user
    finally:
        stop(user.state, lambda _: None)


def _build(engine: docker.DockerClient) -> None:
    """Both images of this checkout; nothing to do where they are built."""
    name = os.environ.get(images.ENV_BASE, images.DEFAULT_BASE)
    base = images.find_base(engine, name, lambda _: None)
    ca = os.environ.get("PIP_CERT")
    for room in images.ROOMS:
        plan = images.plan_image(images.ROOT, room, base, ca=Path(ca) if ca else None)
        images.build(engine, plan, lambda _: None)
