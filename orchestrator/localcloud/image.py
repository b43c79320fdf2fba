"""The image that all containers of the local cloud are made from, built where it is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import docker

from orchestrator import images
from orchestrator.build_context import BuildContext, origin

NAME: Final = "steelyard-machine"
_FOLDER: Final = Path(__file__).with_name("image")


def make_image(client: docker.DockerClient, base: str, report: images.Report) -> str:
    """Its name and tag, the digest of what it is made from. Raises EngineError."""
    python = images.find_base(client, base, report)
    files = tuple(
        (f"files/{path.name}", path.read_bytes()) for path in sorted((_FOLDER / "files").iterdir())
    )
    dockerfile = (_FOLDER / "Dockerfile").read_bytes()
    context = BuildContext(room="machine", dockerfile=dockerfile, files=files)
    plan = images.ImagePlan(
        name=NAME,
        tag=context.digest(python.image_id)[: images.TAG_DIGITS],
        base=python,
        context=context,
        origin=origin(images.ROOT, "worker"),
    )
    return images.build(client, plan, report).reference
