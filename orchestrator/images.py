"""The images of worker and balancer: planned from their content, built by the Docker SDK.

An image's tag is the digest of what it is made of (files, lock, base, version), so the same content
has the same name everywhere, and content that is already an image is not built again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import ImageNotFound

from orchestrator.build_context import ALSO_FOR, BuildContext, Origin, gather, origin
from orchestrator.engine import EngineError, StreamFailed, checked, translated
from services.contract import IMAGE_BALANCER, IMAGE_WORKER

ROOT: Final = Path(__file__).resolve().parent.parent
ENV_BASE: Final = "PYTHON_IMAGE"
ENV_COMPILED: Final = "COMPILED"
DEFAULT_BASE: Final = "python:3.13-slim"
ROOMS: Final = {"worker": IMAGE_WORKER, "balancer": IMAGE_BALANCER}
LATEST: Final = "latest"
TAG_DIGITS: Final = 16  # of 64; enough that two contents of one repository never meet
LABEL_REVISION: Final = "org.opencontainers.image.revision"
_OWN_TAG: Final = re.compile(rf"[a-z-]+:[0-9a-f]{{{TAG_DIGITS}}}$")  # no registry before it
_STEP: Final = re.compile(r"Step (\d+)/(\d+) : (.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """The Python image under every stage, as the engine has it now."""

    name: str
    image_id: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePlan:
    """One image to be: what goes in, and what it will be called."""

    name: str  # repository without registry, as in `services.contract`
    tag: str  # digest of the content
    base: Base
    context: BuildContext
    origin: Origin
    compiled: bool = False  # the balancer's hot modules, to machine code

    @property
    def reference(self) -> str:
        """`name:tag`, as the engine takes it."""
        return f"{self.name}:{self.tag}"

    @property
    def build_args(self) -> dict[str, str]:
        """The Dockerfile's ARGs."""
        return {
            **({ENV_COMPILED: "yes"} if self.compiled else {}),
            ENV_BASE: self.base.name,
            "VERSION": self.origin.version,
            "REVISION": self.origin.revision,
            "CREATED": self.origin.created,
            "SOURCE": self.origin.source,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage:
    """An image that the engine holds, under its content tag and as `latest`."""

    name: str
    tag: str
    image_id: str
    size_bytes: int
    over_base_bytes: int
    reused: bool  # the same content had been built before

    @property
    def reference(self) -> str:
        """`name:tag`, as the engine takes it."""
        return f"{self.name}:{self.tag}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a build, or the download of its base, is: steps done, and the present one."""

    image: str
    done: int
    total: int
    text: str


Report = Callable[[Step], None]


def find_base(client: docker.DockerClient, name: str, report: Report) -> Base:
    """The base image, pulled where the engine does not have it.

    Errors:
        EngineError: it is neither here nor to be had.
    """
    suggestion = f"name an image that is here with {ENV_BASE}=..."
    with translated(f"base image {name}"):
        try:
            image = client.images.get(name)
        except ImageNotFound:
            with translated(f"base image {name} is not here and cannot be pulled", suggestion):
                events = client.api.pull(*_repository_and_tag(name), stream=True, decode=True)
                _follow_pull(name, events, report, suggestion)
                image = client.images.get(name)
        return Base(name=name, image_id=image.id or "", size_bytes=_size_bytes(image))


def plan_image(
    root: Path, room: str, base: Base, *, ca: Path | None = None, compiled: bool = False
) -> ImagePlan:
    """Plan the image of `room` from the checkout at `root`; reads files, changes nothing.

    `compiled`: with machine code, where the room knows how (the balancer).

    Errors:
        EngineError: the checkout lacks a file of the room.
    """
    context, source = gather(root, room, ca=ca), origin(root, room)
    compiled = compiled and room in ALSO_FOR
    digest = context.digest(base.image_id, source.version, *(["compiled"] if compiled else []))
    return ImagePlan(
        name=ROOMS[room],
        tag=digest[:TAG_DIGITS],
        base=base,
        context=context,
        origin=source,
        compiled=compiled,
    )


def build(client: docker.DockerClient, plan: ImagePlan, report: Report) -> BuiltImage:
    """Build `plan`, or find it built, and let `latest` point to it.

    An image that was built before its files were committed is built again once they are, to bear
    the commit's name; all but its labels then comes from the engine's cache.

    Errors:
        EngineError: the engine is gone, or a step of the Dockerfile failed.
    """
    with translated(f"build of {plan.name}"):
        image = _existing(client, plan)
        reused = image is not None
        if image is None:
            events = client.api.build(
                fileobj=plan.context.tar(),
                custom_context=True,
                dockerfile="Dockerfile",
                tag=plan.reference,
                buildargs=plan.build_args,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow_build(plan, events, report)
            image = client.images.get(plan.reference)
        image.tag(plan.name, LATEST)
        size_bytes = _size_bytes(image)
        return BuiltImage(
            name=plan.name,
            tag=plan.tag,
            image_id=image.id or "",
            size_bytes=size_bytes,
            over_base_bytes=size_bytes - plan.base.size_bytes,
            reused=reused,
        )


def built_references(client: docker.DockerClient, room: str) -> tuple[str, ...]:
    """The names of the image of `room` that was built last: by its content, and `latest`.

    Errors:
        EngineError: none was built on this engine.
    """
    name = ROOMS[room]
    with translated(f"no {name} image to push", "build it first: make images"):
        own = [tag for tag in client.images.get(f"{name}:{LATEST}").tags if _OWN_TAG.match(tag)]
    return (*sorted(own), f"{name}:{LATEST}")


def _existing(client: docker.DockerClient, plan: ImagePlan) -> Any | None:
    try:
        image = client.images.get(plan.reference)
    except ImageNotFound:
        return None
    built_from = image.labels.get(LABEL_REVISION, "")
    stale = built_from.endswith("-dirty") and not plan.origin.dirty
    return None if stale else image


def _follow_build(plan: ImagePlan, events: Iterable[dict[str, Any]], report: Report) -> None:
    """Report the steps of a build stream; the engine puts a failure into the stream."""
    total, step = 0, ""
    try:
        for event in checked(events):
            text = str(event.get("stream", "")).strip()
            if found := _STEP.match(text):
                total, step = int(found[2]), " ".join(found[3].split())
                report(Step(image=plan.name, done=int(found[1]) - 1, total=total, text=step))
    except StreamFailed as error:
        place = step or "its start"
        raise EngineError(f"build of {plan.name} failed at {place}: {error}") from error
    report(Step(image=plan.name, done=total, total=total, text="built"))


def _follow_pull(
    name: str, events: Iterable[dict[str, Any]], report: Report, suggestion: str
) -> None:
    layers: dict[str, bool] = {}
    try:
        for event in checked(events):
            if "id" in event and "progressDetail" in event:
                complete = event.get("status") in {"Pull complete", "Already exists"}
                layers[event["id"]] = layers.get(event["id"], False) or complete
                done = sum(layers.values())
                report(Step(image=name, done=done, total=len(layers), text=str(event["status"])))
    except StreamFailed as error:
        raise EngineError(f"base image {name} cannot be pulled: {error}", suggestion) from error


def _size_bytes(image: Any) -> int:
    """Sum of the layers as they lie unpacked; `Size` means that in one image store only."""
    return sum(int(layer["Size"]) for layer in image.history())


def _repository_and_tag(name: str) -> tuple[str, str | None]:
    """Split `host:5000/python:3.13` at the colon that begins a tag, not at the port's."""
    repository, colon, tag = name.rpartition(":")
    return (repository, tag) if colon and "/" not in tag else (name, LATEST)
