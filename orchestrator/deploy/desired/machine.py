"""How a machine is made, whatever it runs: its launch template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.deploy.facts import Facts
from orchestrator.deploy.machines import TYPES
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.settings import DISK_GIB, Deployment


def template(
    deployment: Deployment,
    facts: Facts,
    *,
    name: str,
    role: str,
    group: Key,
    type_name: str,
    user_data: str,
    tags: Mapping[str, str],
    spot: bool,
) -> Wanted:
    """The launch template `name`; the user data holds all that differs between rooms."""
    profile = Key("instance profile", role)
    spec: dict[str, Any] = {
        "ami": facts.amis.get(TYPES[type_name].architecture, "unknown"),
        "type": type_name,
        "profile": Ref(profile),
        "groups": [Ref(group)],
        "user_data": user_data,
        "disk_gib": DISK_GIB,
        "spot": spot,
        "key_pair": deployment.ssh.key_pair if deployment.ssh else None,
        "tags": dict(tags),
    }
    details = f"{type_name}, {len(user_data.encode())} bytes of user data"
    return Wanted(
        key=Key("launch template", name), spec=spec, needs=(profile, group), details=details
    )


def image(facts: Facts, name: str) -> str:
    """An image by digest, or a name that shows that it is missing."""
    return facts.images.get(name, f"unknown/{name}")
