"""ECR's answers about images come from the registry, where their layers really are."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from moto.ecr.models import ECRBackend, Image
from moto.ecr.responses import ECRResponse

from orchestrator.engine import EngineError
from orchestrator.localcloud.registry import PASSWORD, USER, Registry
from orchestrator.localcloud.world import World

_log = logging.getLogger("local-cloud")
_READS = ("list_images", "describe_images", "batch_get_image", "describe_repositories")


@contextmanager
def real_images(world: World, registry: Registry) -> Iterator[None]:
    """While this lasts, what was pushed is what ECR tells; push to `repositoryUri`."""
    create = ECRBackend.create_repository

    def create_repository(self: Any, *args: Any, **kwargs: Any) -> Any:
        made = create(self, *args, **kwargs)
        if self.region_name == world.region:
            made.uri = f"{registry.push_host}/{made.name}"
        return made

    with ExitStack() as stack:
        stack.enter_context(patch.object(ECRBackend, "create_repository", create_repository))
        stack.enter_context(
            patch.object(
                ECRResponse, "get_download_url_for_layer", lambda response: _url(registry, response)
            )
        )
        for name in _READS:
            stack.enter_context(
                patch.object(ECRBackend, name, _after_looking(world, registry, name))
            )
        yield


def _url(registry: Registry, response: Any) -> str:
    """Where a blob lies; AWS signs such a URL, here it carries the password itself."""
    asked = json.loads(response.body)
    digest = asked["layerDigest"]
    path = f"{registry.push_host}/v2/{asked['repositoryName']}/blobs/{digest}"
    return json.dumps({"downloadUrl": f"http://{USER}:{PASSWORD}@{path}", "layerDigest": digest})


def _after_looking(world: World, registry: Registry, name: str) -> Any:
    plain = getattr(ECRBackend, name)

    def answer(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.region_name == world.region:
            for repository in self.repositories.values():
                _look(repository, registry)
        return plain(self, *args, **kwargs)

    return answer


def _look(repository: Any, registry: Registry) -> None:
    """Add what was pushed since; what was deleted by the API stays deleted."""
    seen: set[str] = repository.__dict__.setdefault("steelyard_seen", set())
    try:
        tags = registry.tags(repository.name)
    except EngineError as error:  # ECR's API answers though its registry does not
        _log.warning("%s: as it was known last: %s", repository.name, error)
        return
    for tag in tags:
        pushed = registry.manifest(repository.name, tag)
        if pushed is None or f"{tag}@{pushed[0]}" in seen:
            continue
        digest, media, text = pushed
        seen.add(f"{tag}@{digest}")
        for image in repository.images:
            image.remove_tag(tag)
        known = next((one for one in repository.images if one.image_digest == digest), None)
        if known is not None:
            known.update_tag(tag)
        else:
            image = Image(repository.account_id, tag, text, repository.name, media, digest)
            repository.images.append(image)
