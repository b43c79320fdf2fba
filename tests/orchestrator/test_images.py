"""What goes into an image, what it is called, and what is made of the engine's answers."""

from __future__ import annotations

import os
import socket
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest

from orchestrator import images
from orchestrator.build_context import Origin, gather, origin, public_address
from orchestrator.engine import EngineError, connected

BASE = images.Base(name="python:3.13-slim", image_id="sha256:aa", size_bytes=100)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    files = {
        "pyproject.toml": '[project]\nname = "steelyard"\nversion = "1.2.3"\n',
        "locks/worker.txt": "fastapi==1\n",
        "locks/balancer.txt": "msgspec==1\n",
        "locks/compile.txt": "mypy==1\n",
        "orchestrator/compiled.py": "",
        "services/__init__.py": "",
        "services/contract.py": "WORKER_PORT = 8000\n",
        "services/worker/Dockerfile": "FROM scratch\n",
        "services/worker/__main__.py": "print('worker')\n",
        "services/worker/__pycache__/x.cpython-313.pyc": "",
        "services/balancer/Dockerfile": "FROM scratch\n",
        "services/balancer/pick/p2c.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, "-C", str(folder), *words], check=True, capture_output=True)


def test_a_context_holds_its_own_room_and_nothing_else(checkout: Path) -> None:
    context = gather(checkout, "worker")
    assert [name for name, _ in context.files] == [
        "locks/worker.txt",
        "services/__init__.py",
        "services/contract.py",
        "services/worker/__main__.py",
    ]
    with tarfile.open(fileobj=context.tar()) as archive:
        assert archive.getnames() == ["Dockerfile", *(name for name, _ in context.files)]


def test_the_balancers_holds_what_compiles_it_too(checkout: Path) -> None:
    names = {name for name, _ in gather(checkout, "balancer").files}
    assert {"locks/compile.txt", "orchestrator/compiled.py"} <= names


def test_a_compiled_image_has_a_name_of_its_own(checkout: Path) -> None:
    plain, compiled = (
        images.plan_image(checkout, "balancer", BASE, compiled=yes) for yes in (False, True)
    )
    assert plain.tag != compiled.tag
    assert images.ENV_COMPILED not in plain.build_args
    assert compiled.build_args[images.ENV_COMPILED] == "yes"
    worker = images.plan_image(checkout, "worker", BASE, compiled=True)
    assert worker == images.plan_image(checkout, "worker", BASE)


def test_the_ca_bundle_travels_along_but_changes_no_name(checkout: Path) -> None:
    before = gather(checkout, "worker")
    (checkout / "ca.crt").write_text("PEM")
    after = gather(checkout, "worker")
    with tarfile.open(fileobj=after.tar()) as archive:
        assert "ca.crt" in archive.getnames()
    assert after.digest() == before.digest()
    other = checkout / "other.pem"
    other.write_text("OTHER")
    assert gather(checkout, "worker", ca=other).ca == b"OTHER"


def test_the_same_content_has_the_same_bytes(checkout: Path) -> None:
    first = gather(checkout, "worker").tar().read()
    os.utime(checkout / "services/contract.py", (1, 1))
    assert gather(checkout, "worker").tar().read() == first


@pytest.mark.parametrize(
    "name",
    ["services/worker/__main__.py", "services/worker/Dockerfile", "locks/worker.txt"],
)
def test_any_change_of_content_changes_the_tag(checkout: Path, name: str) -> None:
    before = images.plan_image(checkout, "worker", BASE).tag
    other_before = images.plan_image(checkout, "balancer", BASE).tag
    (checkout / name).write_text("changed\n")
    assert images.plan_image(checkout, "worker", BASE).tag != before
    assert images.plan_image(checkout, "balancer", BASE).tag == other_before


def test_another_base_changes_the_tag(checkout: Path) -> None:
    other = images.Base(name=BASE.name, image_id="sha256:bb", size_bytes=100)
    one = images.plan_image(checkout, "worker", BASE)
    assert images.plan_image(checkout, "worker", other).tag != one.tag
    assert one.reference == f"steelyard-worker:{one.tag}"
    assert len(one.tag) == images.TAG_DIGITS


def test_a_file_that_is_missing_is_named(checkout: Path) -> None:
    (checkout / "locks/worker.txt").unlink()
    with pytest.raises(EngineError, match=r"worker image cannot be built: .*locks/worker.txt"):
        gather(checkout, "worker")


def test_origin_without_git_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(checkout.parent))
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert origin(checkout, "worker") == Origin(
        version="1.2.3", revision="unknown", created="1970-01-01T00:00:00Z", source=""
    )


def test_origin_is_dirty_only_for_the_room_that_changed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "all", "--date", "2026-01-02T03:04:05Z")
    git(checkout, "remote", "add", "origin", "https://someone:secret@git.example.com/a/steelyard")
    clean = origin(checkout, "worker")
    assert len(clean.revision) == 40
    assert not clean.dirty
    assert clean.source == "https://git.example.com/a/steelyard"
    (checkout / "services/worker/__main__.py").write_text("changed\n")
    assert origin(checkout, "worker").revision == f"{clean.revision}-dirty"
    assert origin(checkout, "balancer").revision == clean.revision


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://u:p@example.com:8443/a/b.git", "https://example.com:8443/a/b.git"),
        ("https://example.com/a", "https://example.com/a"),
        ("/srv/git/a", ""),
        ("git@example.com:a/b", ""),
        ("", ""),
    ],
)
def test_only_a_public_address_is_told(remote: str, address: str) -> None:
    assert public_address(remote) == address


class Engine:
    """A stub of the SDK's client: says `events` to a build or pull, and knows `known` images."""

    def __init__(
        self, events: list[dict[str, Any]], known: dict[str, dict[str, str]] | None = None
    ) -> None:
        self.events, self.known, self.builds = events, known or {}, 0
        self.tagged: list[tuple[str, str]] = []
        self.images = self.api = self

    def get(self, name: str) -> Any:
        if name not in self.known:
            raise docker.errors.ImageNotFound(name)
        return SimpleNamespace(
            id="sha256:cc",
            labels=self.known[name],
            tags=list(self.known),
            history=lambda: [{"Size": 100}, {"Size": 35}],
            tag=lambda name, tag: self.tagged.append((name, tag)),
        )

    def build(self, *, tag: str, **_: Any) -> list[dict[str, Any]]:
        self.builds += 1
        self.known[tag] = {}
        return self.events

    def pull(self, *_: Any, **__: Any) -> list[dict[str, Any]]:
        return self.events


def client(engine: Engine) -> docker.DockerClient:
    return cast(docker.DockerClient, engine)


def test_a_build_reports_its_steps_and_its_size(checkout: Path) -> None:
    steps: list[images.Step] = []
    engine = Engine([{"stream": "Step 1/2 : FROM x\n"}, {"stream": "Step 2/2 : RUN  y"}])
    plan = images.plan_image(checkout, "worker", BASE)
    built = images.build(client(engine), plan, steps.append)
    assert [(step.done, step.total, step.text) for step in steps] == [
        (0, 2, "FROM x"),
        (1, 2, "RUN y"),
        (2, 2, "built"),
    ]
    assert (built.size_bytes, built.over_base_bytes, built.reused) == (135, 35, False)
    assert engine.tagged == [("steelyard-worker", "latest")]


def test_a_failed_step_is_an_error_that_names_it(checkout: Path) -> None:
    engine = Engine(
        [
            {"stream": "Step 3/9 : RUN pip"},
            {"errorDetail": {"message": "code 1"}, "error": "code 1"},
        ]
    )
    with pytest.raises(EngineError, match="steelyard-worker failed at RUN pip: code 1"):
        images.build(client(engine), images.plan_image(checkout, "worker", BASE), lambda _: None)


@pytest.mark.parametrize(
    ("label", "dirty", "builds"),
    [("abc", False, 0), ("abc-dirty", True, 0), ("abc-dirty", False, 1), ("old", True, 0)],
)
def test_content_that_was_built_is_built_again_only_to_bear_its_commit(
    checkout: Path, label: str, dirty: bool, builds: int
) -> None:
    source = Origin(version="1", revision="abc-dirty" if dirty else "abc", created="", source="")
    plan = images.ImagePlan(
        name="steelyard-worker",
        tag="0123",
        base=BASE,
        context=gather(checkout, "worker"),
        origin=source,
    )
    engine = Engine([], {plan.reference: {images.LABEL_REVISION: label}})
    assert images.build(client(engine), plan, lambda _: None).reused is (builds == 0)
    assert engine.builds == builds


def test_a_base_that_cannot_be_pulled_says_what_to_do() -> None:
    engine = Engine([{"error": "no such host", "errorDetail": {"message": "no such host"}}])
    with pytest.raises(EngineError, match="no such host") as caught:
        images.find_base(client(engine), "python:3.13-slim", lambda _: None)
    assert "PYTHON_IMAGE" in caught.value.suggestion


def test_what_is_pushed_is_what_was_built_last() -> None:
    content = f"steelyard-worker:{'a' * images.TAG_DIGITS}"
    engine = Engine(
        [], {"steelyard-worker:latest": {}, content: {}, f"localhost:5000/{content}": {}}
    )
    assert images.built_references(client(engine), "worker") == (
        content,
        "steelyard-worker:latest",
    )
    with pytest.raises(EngineError, match="no steelyard-balancer image") as caught:
        images.built_references(client(engine), "balancer")
    assert caught.value.suggestion == "build it first: make images"


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("python:3.13-slim", ("python", "3.13-slim")),
        ("localhost:5000/python", ("localhost:5000/python", "latest")),
        ("localhost:5000/python:3", ("localhost:5000/python", "3")),
        ("python", ("python", "latest")),
    ],
)
def test_a_tag_begins_after_the_last_slash(name: str, parts: tuple[str, str]) -> None:
    assert images._repository_and_tag(name) == parts


def test_a_missing_engine_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:  # free again, hence refusing, below
        port = taken.getsockname()[1]
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
    with pytest.raises(EngineError, match="no Docker engine answers") as caught, connected():
        pass
    assert "\n" not in str(caught.value)
    assert "DOCKER_HOST" in caught.value.suggestion
