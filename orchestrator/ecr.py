"""ECR: the repositories of the two images, a log-in that lasts for one push, and what lies in them.

Repositories belong to an account and a region, not to a deployment: `down` leaves them, `images
remove` and `kill` take them. They are in no journal, as their names are fixed: a run that died
after making one finds it again by name, and brings it to its form.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.aws.door import Answer, Aws
from orchestrator.aws.errors import CloudError
from orchestrator.registry import RegistryAuth
from services.contract import IMAGE_BALANCER, IMAGE_WORKER, PROJECT, TAG_PROJECT

NAMES: Final = (IMAGE_WORKER, IMAGE_BALANCER)
KEPT_IMAGES: Final = 10
_HOST: Final = re.compile(r"(\d{12})\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$")
_NO_REPOSITORY: Final = "RepositoryNotFoundException"
_ABSENT: Final = (_NO_REPOSITORY, "ImageNotFoundException")
# Source: ECR user guide, "Lifecycle policy properties".
_LIFECYCLE: Final = {
    "rules": [
        {
            "rulePriority": 1,
            "description": f"the last {KEPT_IMAGES}",
            "selection": {
                "tagStatus": "any",
                "countType": "imageCountMoreThan",
                "countNumber": KEPT_IMAGES,
            },
            "action": {"type": "expire"},
        }
    ]
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """One repository; `uri` is where to push to, `ours` says that it carries the project's tag."""

    name: str
    uri: str
    ours: bool

    @property
    def registry(self) -> str:
        """`uri` without the name."""
        return self.uri.removesuffix(f"/{self.name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One image in a repository; `pushed_at` is in seconds since the epoch."""

    digest: str
    tags: tuple[str, ...]
    pushed_at: float


def host(account: str, region: str) -> str:
    """The registry's name, as machines pull from it."""
    china = ".cn" if region.startswith("cn-") else ""
    return f"{account}.dkr.ecr.{region}.amazonaws.com{china}"


def region_of(registry: str) -> str | None:
    """The region of an ECR host name; None for every other registry."""
    match = _HOST.match(registry.strip().rstrip("/"))
    return match[2] if match else None


def prepare(aws: Aws, name: str) -> Repository:
    """The repository, made where it is missing: tags that stay, scan on push, the last ten kept.

    One that someone else made is used as it is.

    Errors:
        CloudError: AWS refused.
    """
    described = _described(aws, name)
    if described is None:
        try:
            described = aws.call(
                "ecr",
                "create_repository",
                repositoryName=name,
                imageTagMutability="IMMUTABLE",
                imageScanningConfiguration={"scanOnPush": True},
                tags=[{"Key": TAG_PROJECT, "Value": PROJECT}],
            )["repository"]
        except CloudError as error:
            if error.code != "RepositoryAlreadyExistsException":
                raise
            described = _described(aws, name)  # another run was quicker
    if described is None:
        raise CloudError(f"repository {name}", "was made, and is gone", "repeat the command")
    repository = _repository(aws, described)
    if repository.ours:
        _form(aws, described)
    return repository


def login(aws: Aws) -> RegistryAuth:
    """Name and password for twelve hours, for the engine's push alone: never stored, never shown.

    Errors:
        CloudError: AWS refused.
    """
    (data,) = aws.call("ecr", "get_authorization_token")["authorizationData"]
    username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return RegistryAuth(username=username, password=password)


def stored(aws: Aws, name: str, tag: str) -> Stored | None:
    """The image under `tag`, or None where there is none."""
    try:
        answer = aws.call(
            "ecr", "describe_images", repositoryName=name, imageIds=[{"imageTag": tag}]
        )
    except CloudError as error:
        if error.code in _ABSENT:
            return None
        raise
    return _stored(answer["imageDetails"][0])


def newest(aws: Aws, name: str) -> Stored | None:
    """The tagged image that was pushed last, or None where there is none."""
    try:
        details: Iterable[Answer] = list(
            aws.pages(
                "ecr",
                "describe_images",
                "imageDetails",
                repositoryName=name,
                filter={"tagStatus": "TAGGED"},
            )
        )
    except CloudError as error:
        if error.code == _NO_REPOSITORY:
            return None
        raise
    return max(map(_stored, details), key=lambda image: image.pushed_at, default=None)


def remove(aws: Aws) -> tuple[str, ...]:
    """Delete the repositories that carry the project's tag, images and all; their names.

    Errors:
        CloudError: AWS refused.
    """
    gone = []
    for name in NAMES:
        described = _described(aws, name)
        if described is None or not _repository(aws, described).ours:
            continue
        try:
            aws.call("ecr", "delete_repository", repositoryName=name, force=True)
        except CloudError as error:
            if error.code != _NO_REPOSITORY:
                raise
        gone.append(name)
    return tuple(gone)


def _described(aws: Aws, name: str) -> Answer | None:
    try:
        (described,) = aws.call("ecr", "describe_repositories", repositoryNames=[name])[
            "repositories"
        ]
    except CloudError as error:
        if error.code == _NO_REPOSITORY:
            return None
        raise
    return dict(described)


def _repository(aws: Aws, described: Answer) -> Repository:
    answer = aws.call("ecr", "list_tags_for_resource", resourceArn=described["repositoryArn"])
    tags = {tag["Key"]: tag["Value"] for tag in answer["tags"]}
    return Repository(
        name=described["repositoryName"],
        uri=described["repositoryUri"],
        ours=tags.get(TAG_PROJECT) == PROJECT,
    )


def _form(aws: Aws, described: Answer) -> None:
    """What the creation says, said again where it differs; the policy is put every time."""
    name = described["repositoryName"]
    if described["imageTagMutability"] != "IMMUTABLE":
        aws.call(
            "ecr",
            "put_image_tag_mutability",
            repositoryName=name,
            imageTagMutability="IMMUTABLE",
        )
    if not described["imageScanningConfiguration"]["scanOnPush"]:
        aws.call(
            "ecr",
            "put_image_scanning_configuration",
            repositoryName=name,
            imageScanningConfiguration={"scanOnPush": True},
        )
    aws.call(
        "ecr",
        "put_lifecycle_policy",
        repositoryName=name,
        lifecyclePolicyText=json.dumps(_LIFECYCLE),
    )


def _stored(detail: dict[str, Any]) -> Stored:
    return Stored(
        digest=detail["imageDigest"],
        tags=tuple(sorted(detail.get("imageTags", ()))),
        pushed_at=detail["imagePushedAt"].timestamp(),
    )
