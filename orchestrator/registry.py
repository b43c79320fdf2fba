"""Images into a registry: any that speaks the OCI distribution protocol, so ECR too.

A push that fails does not raise in the SDK: the engine writes the failure into the stream of
progress, and here it becomes an `EngineError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import docker

from orchestrator.engine import EngineError, StreamFailed, checked, translated

# What a registry's refusal says, and what helps.
_ADVICE: Final = (
    (("unauthorized", "no basic auth", "denied", "authentication"), "log in: docker login {host}"),
    (("connection refused", "no such host", "timeout", "deadline"), "is a registry at {host}?"),
    (
        ("HTTP response to HTTPS client", "certificate"),
        "the engine asks for trusted TLS of every registry but those on loopback",
    ),
)
_DONE: Final = frozenset({"Pushed", "Layer already exists"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryAuth:
    """Name and password (or token) for one registry; never shown."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PushProgress:
    """How far a push is. A layer's size is known once its upload begins."""

    reference: str
    layers: int
    layers_done: int
    sent_bytes: int
    known_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedImage:
    """An image in a registry; `by_digest` names these very bytes for ever."""

    repository: str
    tag: str
    digest: str  # sha256:...
    manifest_bytes: int

    @property
    def by_digest(self) -> str:
        """`repository@digest`, which `docker pull` takes."""
        return f"{self.repository}@{self.digest}"


Report = Callable[[PushProgress], None]


def push(
    client: docker.DockerClient,
    local: str,
    registry: str,
    *,
    report: Report,
    auth: RegistryAuth | None = None,
) -> PushedImage:
    """Push the image `local` (`name:tag`) as `registry/name:tag`.

    `registry` is a host with an optional port and path. Without `auth` the engine's own log-ins
    (`docker login`) count.

    Errors:
        EngineError: no such image, no such registry, or it refused.
    """
    registry = registry.strip().rstrip("/")
    if not registry or "://" in registry:
        raise EngineError(
            f"'{registry}' is no registry", "give host[:port][/path], such as localhost:5000"
        )
    name, _, tag = local.rpartition(":")
    repository = f"{registry}/{name}"
    login = None if auth is None else {"username": auth.username, "password": auth.password}
    with translated(f"push of {local} to {registry}", "build it first: make images"):
        client.images.get(local).tag(repository, tag)
    with translated(f"push of {local} to {registry}"):
        events = client.api.push(repository, tag=tag, stream=True, decode=True, auth_config=login)
        try:
            return _follow(repository, tag, checked(events), report)
        except StreamFailed as error:
            raise refused(repository, str(error)) from error


def _follow(
    repository: str, tag: str, events: Iterable[dict[str, Any]], report: Report
) -> PushedImage:
    sizes: dict[str, tuple[int, int]] = {}  # layer -> bytes sent, bytes in all
    done: set[str] = set()
    pushed: PushedImage | None = None
    for event in events:
        aux = event.get("aux") or {}
        if "Digest" in aux:
            pushed = PushedImage(
                repository=repository,
                tag=aux["Tag"],
                digest=aux["Digest"],
                manifest_bytes=aux["Size"],
            )
        layer = event.get("id")
        if layer is None or "progressDetail" not in event:
            continue
        sent, known = sizes.get(layer, (0, 0))
        detail = event["progressDetail"]
        sizes[layer] = (detail.get("current", sent), max(known, detail.get("total", 0)))
        if event.get("status") in _DONE:
            done.add(layer)
            sizes[layer] = (sizes[layer][1], sizes[layer][1])
        report(
            PushProgress(
                reference=f"{repository}:{tag}",
                layers=len(sizes),
                layers_done=len(done),
                sent_bytes=sum(min(sent, known) for sent, known in sizes.values()),
                known_bytes=sum(known for _, known in sizes.values()),
            )
        )
    if pushed is None:
        raise EngineError(f"push to {repository} ended without a digest", "try again")
    return pushed


def refused(repository: str, error: str) -> EngineError:
    """The registry's words, with what helps against them."""
    host = repository.split("/", maxsplit=1)[0]
    low = error.lower()
    advice = next((a for words, a in _ADVICE if any(w.lower() in low for w in words)), "")
    return EngineError(f"push to {repository} failed: {error}", advice.format(host=host))
