"""The images as the engine holds them: small, unprivileged, labelled, one room each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from orchestrator.build_context import origin
from orchestrator.images import ROOMS, ROOT, BuiltImage
from tests.compose.fleet import docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

MARK_BYTES = {"worker": 50_000_000, "balancer": 90_000_000}  # over the base
rooms = pytest.mark.parametrize("room", ROOMS)


def in_image(image: BuiltImage, command: str) -> str:
    """What a shell prints in a throw-away container with a read-only root."""
    options = ("--rm", "--read-only", "--network=none", "--entrypoint=sh")
    return docker("run", *options, image.reference, "-c", command)


@rooms
def test_an_image_is_within_its_mark(built: dict[str, BuiltImage], room: str) -> None:
    over = built[room].over_base_bytes
    print(f"{room}: {over / 1e6:.1f} MB over its base")
    assert 0 < over <= MARK_BYTES[room]


@pytest.mark.timeout(600)  # where nobody has compiled this version yet
def test_the_compiled_image_runs_machine_code_and_is_within_its_mark(compiled: BuiltImage) -> None:
    modules = ("dataplane.exchange", "dataplane.http1", "pick.steelyard", "target")
    names = ", ".join(f"services.balancer.{name}" for name in modules)
    files = " ".join(f"services.balancer.{name}.__file__" for name in modules).replace(" ", ", ")
    loaded = in_image(compiled, f"python3 -c 'import {names}; print({files})'").split()
    assert [name for name in loaded if not name.endswith(".so")] == []
    assert len(loaded) == len(modules)
    assert in_image(compiled, "command -v gcc cc mypyc || :") == ""
    assert 0 < compiled.over_base_bytes <= MARK_BYTES["balancer"]


@rooms
def test_an_image_carries_its_own_room_alone(built: dict[str, BuiltImage], room: str) -> None:
    files = in_image(built[room], "cd /app && find . -type f -name '*.py'").split()
    allowed = ("./services/__init__.py", "./services/contract.py", f"./services/{room}/")
    assert [name for name in files if not name.startswith(allowed)] == []
    assert f"./services/{room}/__init__.py" in files
    assert in_image(built[room], f"python3 -c 'import services.{room}; print(1)'") == "1\n"


@rooms
def test_an_image_carries_no_tools_to_install_more(built: dict[str, BuiltImage], room: str) -> None:
    packages = in_image(built[room], "ls /opt/venv/lib/python3*/site-packages")
    assert {"pip", "setuptools", "wheel"}.isdisjoint(packages.split())
    left = in_image(
        built[room], "find / -xdev -name ca.crt -o -xdev -name '*.pyx' 2>/dev/null || :"
    )
    assert left == ""


@rooms
def test_an_image_runs_as_nobody_in_particular(built: dict[str, BuiltImage], room: str) -> None:
    assert in_image(built[room], "id -u").strip() == "65532"
    owned = in_image(built[room], "find /app /opt/venv -user 65532 -o -perm -o+w -type f")
    assert owned == ""


@rooms
def test_byte_code_is_there_before_the_first_start(built: dict[str, BuiltImage], room: str) -> None:
    count = "find /app /opt/venv/lib -name '*.{}' | wc -l"
    sources = int(in_image(built[room], count.format("py")))
    assert int(in_image(built[room], count.format("pyc"))) == sources > 100


@rooms
def test_an_image_says_where_it_comes_from(built: dict[str, BuiltImage], room: str) -> None:
    format_ = "{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}\n{{end}}"
    lines = docker("inspect", f"--format={format_}", built[room].reference).splitlines()
    labels = dict(line.split("=", 1) for line in lines if line)
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}title"] == ROOMS[room]
    assert labels[f"{prefix}version"] == origin(ROOT, room).version
    assert labels[f"{prefix}created"].endswith("Z")
    revision = labels[f"{prefix}revision"].removesuffix("-dirty")
    subprocess.run(["git", "-C", str(ROOT), "cat-file", "-e", revision], check=True)


@pytest.fixture
def small_checkout(tmp_path: Path) -> Path:
    """What compose reads to build, with this machine's CA bundle where pip needs one."""
    for name in ("compose.yaml", "compose", "services", "locks", ".dockerignore"):
        whole = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        whole(ROOT / name, tmp_path / name)
    (tmp_path / "orchestrator").mkdir()
    shutil.copy(ROOT / "orchestrator/compiled.py", tmp_path / "orchestrator")
    if ca := os.environ.get("PIP_CERT"):
        shutil.copy(ca, tmp_path / "ca.crt")
    return tmp_path


@rooms
def test_compose_builds_the_same_with_buildkit(
    built: dict[str, BuiltImage], small_checkout: Path, room: str
) -> None:
    service = {"worker": "worker-micro", "balancer": "balancer"}[room]
    words = ("-f", f"{small_checkout}/compose.yaml", "--progress", "quiet", "build", service)
    listing = "cd / && find app opt -type f | grep -v dist-info | sort | xargs sha256sum"
    latest = f"{built[room].name}:latest"
    try:
        docker("compose", *words, timeout_s=240)
        files = docker("run", "--rm", "--entrypoint=sh", latest, "-c", listing)
    finally:
        docker("tag", built[room].reference, latest)
    assert files == in_image(built[room], listing)
