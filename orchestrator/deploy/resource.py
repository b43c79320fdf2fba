"""One thing on AWS: what is wanted, what was found, and what every kind of thing can do.

A thing is known by its tags alone. It carries the digest of what it was made from in a tag that is
set last: a missing or different digest means "not as wanted", so a run that died halfway is seen.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.aws.door import Aws
from orchestrator.aws.wait import Patience
from services.contract import PROJECT, TAG_DEPLOYMENT, TAG_PROJECT, TAG_RESOURCE, TAG_SPEC

Spec = Mapping[str, Any]
# An image of the day is taken when something is made; a newer one alone changes nothing.
# Where else a machine may be put says nothing of one that runs.
_NOT_COMPARED = frozenset({"ami", "other_subnets"})


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Kind and name: what a thing is called within its deployment."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Ref:
    """Stands in a spec for another thing's id, or its digest."""

    key: Key
    digest: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One thing as it should be. `needs` are made before it; `usd_hour` is what it costs."""

    key: Key
    spec: Spec
    needs: tuple[Key, ...] = ()
    usd_hour: float = 0.0
    details: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One thing as AWS has it. `spec` is the digest that it was completed with, or empty."""

    key: Key
    ident: str
    spec: str = ""
    about: Spec = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose things are meant: one deployment's, or, without a name, all of the project."""

    deployment: str | None = None

    @property
    def filters(self) -> list[dict[str, Any]]:
        """As EC2 and Auto Scaling take them."""
        tags = {TAG_PROJECT: PROJECT}
        if self.deployment is not None:
            tags[TAG_DEPLOYMENT] = self.deployment
        return [{"Name": f"tag:{key}", "Values": [value]} for key, value in tags.items()]

    def tags(self, name: str) -> dict[str, str]:
        """What a thing called `name` is tagged with from the moment it exists."""
        return {TAG_PROJECT: PROJECT, TAG_DEPLOYMENT: self.deployment or "", TAG_RESOURCE: name}


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """What a kind needs to make or complete one thing; refs in `spec` are ids by now."""

    key: Key
    spec: Spec
    scope: Scope
    token: str
    digest: str  # of `spec`
    now_s: float  # since the epoch
    patience: Patience
    report: Callable[[str], None]

    @property
    def tags(self) -> dict[str, str]:
        """The tags to create it with."""
        return self.scope.tags(self.key.name)

    @property
    def title(self) -> str:
        """Its name on AWS."""
        return title(self.scope, self.key.name)


class Kind(Protocol):
    """What can be done with one kind of thing. All calls raise CloudError."""

    name: str
    replaced: bool  # it cannot be changed, only made anew

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        """All that carry the tags, whoever made them."""

    def create(self, aws: Aws, making: Making) -> str:
        """Make it with its tags in one call; returns the id."""

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        """Bring what exists to what the spec says. Safe to repeat."""

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        """Set the tag that says: complete."""

    def delete(self, aws: Aws, found: Found) -> None:
        """Take it away; gone already is fine."""


def title(scope: Scope, name: str) -> str:
    """A thing's name on AWS."""
    return f"{PROJECT}-{scope.deployment}-{name}"


def resolve(spec: Spec, ids: Mapping[Key, Any], digests: Mapping[Key, str]) -> Spec | None:
    """The spec with its refs replaced, or None when one of them is not made yet."""

    class NotYetError(Exception):
        pass

    def walk(value: Any) -> Any:
        if isinstance(value, Ref):
            known = digests if value.digest else ids
            if value.key not in known:
                raise NotYetError
            return known[value.key]
        if isinstance(value, Mapping):
            return {key: walk(part) for key, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [walk(part) for part in value]
        return value

    try:
        return {key: walk(value) for key, value in spec.items()}
    except NotYetError:
        return None


def digest(resolved: Spec) -> str:
    """A short name of a resolved spec's content."""
    compared = {key: value for key, value in resolved.items() if key not in _NOT_COMPARED}
    text = json.dumps(compared, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def as_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as most services take them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def as_dict(tags: Iterable[Mapping[str, str]] | None) -> dict[str, str]:
    """Tags as most services give them."""
    return {tag["Key"]: tag["Value"] for tag in tags or ()}


def specification(kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """EC2's TagSpecification."""
    return {"ResourceType": kind, "Tags": as_list(tags)}


def found(kind: str, ident: str, tags: Mapping[str, str], about: Spec | None = None) -> Found:
    """A `Found` from its tags."""
    return Found(
        key=Key(kind, tags.get(TAG_RESOURCE, "")),
        ident=ident,
        spec=tags.get(TAG_SPEC, ""),
        about=about or {},
    )


def seal_ec2(aws: Aws, ident: str, sealed: str) -> None:
    """`seal` of everything that EC2 tags by id."""
    aws.call("ec2", "create_tags", Resources=[ident], Tags=as_list({TAG_SPEC: sealed}))
