"""Both images to where a deployment's machines pull them: any registry, or ECR.

A registry gets the content tag and `latest`. ECR gets the content tag alone, as its tags stay where
they are; content that is there already is not sent again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import docker

from orchestrator import ecr, images, registry
from orchestrator.aws.door import Aws


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One image that is in the registry now; `note` says what a user should know besides."""

    repository: str
    tag: str
    digest: str
    sent: bool
    note: str = ""


def to_registry(
    client: docker.DockerClient,
    name: str,
    report: registry.Report,
    auth: registry.RegistryAuth | None,
) -> Iterator[Outcome]:
    """Push what was built last to the registry `name`. Raises EngineError."""
    for room in images.ROOMS:
        for reference in images.built_references(client, room):
            pushed = registry.push(client, reference, name, report=report, auth=auth)
            yield Outcome(
                repository=pushed.repository, tag=pushed.tag, digest=pushed.digest, sent=True
            )


def to_ecr(client: docker.DockerClient, aws: Aws, report: registry.Report) -> Iterator[Outcome]:
    """Push what was built last to ECR, with repositories made and a log-in fetched as needed.

    Errors:
        EngineError: nothing was built, or the push failed.
        CloudError: AWS refused.
    """
    auth = None
    for room in images.ROOMS:
        references = images.built_references(client, room)
        repository = ecr.prepare(aws, images.ROOMS[room])
        for reference in references:
            tag = reference.rpartition(":")[2]
            if tag == images.LATEST:
                continue
            has = ecr.stored(aws, repository.name, tag)
            if has is not None:
                yield Outcome(
                    repository=repository.uri,
                    tag=tag,
                    digest=has.digest,
                    sent=False,
                    note=_older(aws, repository.name, has),
                )
                continue
            auth = auth or ecr.login(aws)
            pushed = registry.push(client, reference, repository.registry, report=report, auth=auth)
            yield Outcome(repository=repository.uri, tag=tag, digest=pushed.digest, sent=True)


def _older(aws: Aws, name: str, has: ecr.Stored) -> str:
    last = ecr.newest(aws, name)
    if last is None or last.digest == has.digest:
        return ""
    return (
        f"{name}:{last.tags[0]} was pushed later, and is what is deployed"
        " unless deploy.yaml names another image_tag"
    )
