"""Push to a real registry and pull by digest; every refusal is one clear error."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from orchestrator.engine import EngineError, connected
from orchestrator.images import BuiltImage
from orchestrator.registry import PushProgress, RegistryAuth, push
from tests.compose.fleet import docker

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]

AUTH = RegistryAuth(username="AWS", password="open-sesame")
HTPASSWD = (
    "AWS:$2y$05$suoz3dhJnbOCJW.IP5qd5.ecZu3v.TzRCiFvuPqKfG5GAefyKzM8m\n"  # the same in bcrypt
)


def ignore(_: PushProgress) -> None:
    pass


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of Debian's `docker-registry` on loopback, which asks for AUTH."""
    folder: Path = tmp_path_factory.mktemp("registry")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    (folder / "htpasswd").write_text(HTPASSWD)
    (folder / "config.yml").write_text(
        "version: 0.1\n"
        f"storage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '{host}'}}\n"
        f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n"
    )
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not installed"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                assert httpx.get(f"http://{host}/v2/").status_code == 401
                break
            except httpx.TransportError:
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline, "the registry does not answer"
        yield host
    finally:
        process.terminate()
        process.wait(timeout=20)


def test_what_is_pushed_can_be_pulled_by_its_digest(
    registry: str, built: dict[str, BuiltImage]
) -> None:
    worker, seen = built["worker"], list[PushProgress]()
    with connected() as client:
        pushed = push(client, worker.reference, registry, report=seen.append, auth=AUTH)
        assert pushed.repository == f"{registry}/steelyard-worker"
        assert seen[-1].layers_done == seen[-1].layers > 1
        login = {"username": AUTH.username, "password": AUTH.password}
        client.images.remove(f"{pushed.repository}:{worker.tag}")
        pulled = client.images.pull(pushed.by_digest, auth_config=login)
        assert pulled.id == worker.image_id
        client.images.remove(pushed.by_digest)
    listed = httpx.get(
        f"http://{registry}/v2/steelyard-worker/tags/list", auth=(AUTH.username, AUTH.password)
    )
    assert listed.json()["tags"] == [worker.tag]


@pytest.mark.parametrize("auth", [None, RegistryAuth(username="AWS", password="wrong")])
def test_a_refused_login_is_one_error(
    registry: str, built: dict[str, BuiltImage], auth: RegistryAuth | None
) -> None:
    with connected() as client, pytest.raises(EngineError, match="failed: ") as caught:
        push(client, built["worker"].reference, registry, report=ignore, auth=auth)
    assert "\n" not in str(caught.value)
    assert caught.value.suggestion == f"log in: docker login {registry}"
    docker("image", "rm", f"{registry}/{built['worker'].reference}")


def test_a_registry_that_is_not_there_is_one_error(built: dict[str, BuiltImage]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
    with connected() as client, pytest.raises(EngineError, match="connection refused") as caught:
        push(client, built["worker"].reference, nowhere, report=ignore)
    assert caught.value.suggestion == f"is a registry at {nowhere}?"
    docker("image", "rm", f"{nowhere}/{built['worker'].reference}")
