"""What is made of a push: its progress, its digest, and the refusals hidden in its stream."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest

from orchestrator.engine import EngineError
from orchestrator.registry import PushProgress, RegistryAuth, push, refused

# As an engine says it, shortened: one layer uploaded, one that was there.
PUSHED: list[dict[str, Any]] = [
    {"status": "The push refers to repository [localhost:5000/steelyard-worker]"},
    {"status": "Preparing", "progressDetail": {}, "id": "aaa"},
    {"status": "Preparing", "progressDetail": {}, "id": "bbb"},
    {"status": "Layer already exists", "progressDetail": {}, "id": "bbb"},
    {"status": "Pushing", "progressDetail": {"current": 10, "total": 40}, "id": "aaa"},
    {"status": "Pushing", "progressDetail": {"current": 48}, "id": "aaa"},
    {"status": "Pushed", "progressDetail": {}, "id": "aaa"},
    {"status": "v1: digest: sha256:dd size: 7"},
    {"progressDetail": {}, "aux": {"Tag": "v1", "Digest": "sha256:dd", "Size": 7}},
]


class Engine:
    """A stub of the SDK's client that answers a push with `events`."""

    def __init__(self, events: list[dict[str, Any]]) -> None:
        self.events = events
        self.images = self.api = self
        self.login: dict[str, str] | None = None

    def get(self, name: str) -> Any:
        if name != "steelyard-worker:v1":
            raise docker.errors.ImageNotFound("no such image")
        return SimpleNamespace(tag=lambda repository, tag: True)

    def push(self, repository: str, *, auth_config: Any, **_: Any) -> list[dict[str, Any]]:
        self.login = auth_config
        return self.events


def client(engine: Engine) -> docker.DockerClient:
    return cast(docker.DockerClient, engine)


def ignore(_: PushProgress) -> None:
    pass


def test_a_push_reports_bytes_and_ends_with_the_digest() -> None:
    seen: list[PushProgress] = []
    pushed = push(
        client(Engine(PUSHED)), "steelyard-worker:v1", "localhost:5000/", report=seen.append
    )
    assert pushed.by_digest == "localhost:5000/steelyard-worker@sha256:dd"
    assert [(p.layers_done, p.layers, p.sent_bytes, p.known_bytes) for p in seen] == [
        (0, 1, 0, 0),
        (0, 2, 0, 0),
        (1, 2, 0, 0),
        (1, 2, 10, 40),
        (1, 2, 40, 40),  # the engine counts the tar's padding too; no more than all is sent
        (2, 2, 40, 40),
    ]


def test_the_login_goes_to_the_engine_and_never_into_a_repr() -> None:
    engine, auth = Engine(PUSHED), RegistryAuth(username="AWS", password="open-sesame")
    push(client(engine), "steelyard-worker:v1", "localhost:5000", report=ignore, auth=auth)
    assert engine.login == {"username": "AWS", "password": "open-sesame"}
    assert "open-sesame" not in repr(auth)


def test_an_error_in_the_stream_is_an_error() -> None:
    events = [*PUSHED[:4], {"errorDetail": {"message": "denied"}, "error": "denied"}]
    with pytest.raises(EngineError, match="localhost:5000/steelyard-worker failed: denied"):
        push(client(Engine(events)), "steelyard-worker:v1", "localhost:5000", report=ignore)


def test_a_stream_without_a_digest_is_an_error() -> None:
    with pytest.raises(EngineError, match="without a digest"):
        push(client(Engine(PUSHED[:-1])), "steelyard-worker:v1", "localhost:5000", report=ignore)


@pytest.mark.parametrize("registry", ["", "http://localhost:5000"])
def test_what_is_no_registry_is_refused_before_anything_is_done(registry: str) -> None:
    with pytest.raises(EngineError, match="is no registry"):
        push(client(Engine(PUSHED)), "steelyard-worker:v1", registry, report=ignore)


def test_an_image_that_was_not_built_says_so() -> None:
    with pytest.raises(EngineError, match="no such image") as caught:
        push(client(Engine(PUSHED)), "steelyard-worker:v2", "localhost:5000", report=ignore)
    assert caught.value.suggestion == "build it first: make images"


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("unauthorized: authentication required", "docker login r:1"),
        ("dial tcp 127.0.0.1:1: connect: connection refused", "is a registry at r:1?"),
        ("http: server gave HTTP response to HTTPS client", "TLS"),
        ("disk full", ""),
    ],
)
def test_advice_fits_the_refusal(words: str, advice: str) -> None:
    error = refused("r:1/steelyard-worker", words)
    assert advice in error.suggestion
    assert bool(advice) is bool(error.suggestion)
