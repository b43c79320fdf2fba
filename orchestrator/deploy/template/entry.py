"""One wanted thing on its way into the template."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.resource import Key, Scope, Spec, Wanted, digest, resolve, title

Resources = dict[str, dict[str, Any]]
# What stands for the id of a thing where it is not what Ref gives.
_IDS: Final = {
    "security group": "GroupId",
    "address": "AllocationId",
    "target group": "TargetGroupArn",
    "listener": "ListenerArn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A thing with its logical id; in `spec` ids are intrinsic functions."""

    logical: str
    key: Key
    spec: Spec
    digest: str
    scope: Scope
    region: str

    @property
    def tags(self) -> dict[str, str]:
        """The tags to create it with."""
        return self.scope.tags(self.key.name)

    @property
    def title(self) -> str:
        """Its name on AWS, the same that `up` gives."""
        return title(self.scope, self.key.name)


def ref(logical: str) -> dict[str, str]:
    """The id of another resource, or a parameter."""
    return {"Ref": logical}


def attribute(logical: str, name: str) -> dict[str, list[str]]:
    """What another resource has."""
    return {"Fn::GetAtt": [logical, name]}


def entries(wanted: Iterable[Wanted], scope: Scope, region: str) -> list[Entry]:
    """Each thing with its refs resolved.

    Errors:
        CloudError: a thing refers to one that comes later, or to none.
    """
    ids: dict[Key, Any] = {}
    digests: dict[Key, str] = {}
    made: list[Entry] = []
    for want in wanted:
        logical = _logical(want.key, {entry.logical for entry in made})
        spec = resolve(want.spec, ids, digests)
        if spec is None:
            raise CloudError(str(want.key), "it refers to something that is not in the template")
        of_it = _IDS.get(want.key.kind)
        ids[want.key] = attribute(logical, of_it) if of_it else ref(logical)
        digests[want.key] = digest(spec)
        made.append(
            Entry(
                logical=logical,
                key=want.key,
                spec=spec,
                digest=digests[want.key],
                scope=scope,
                region=region,
            )
        )
    return made


def _logical(key: Key, taken: set[str]) -> str:
    """Letters and digits only; `a-1` and `a1` would be the same."""
    words = f"{key.kind} {key.name}".replace("-", " ").split()
    logical = "".join(word[:1].upper() + word[1:] for word in words)
    while logical in taken:
        logical += "x"
    return logical


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    """Tags as CloudFormation takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
