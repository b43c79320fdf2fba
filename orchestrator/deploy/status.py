"""A deployment as data: machines, how the balancers see them, boots that failed."""

from __future__ import annotations

from typing import Any

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.balancers import Balancers, Views
from orchestrator.deploy.boots import boot_failures
from orchestrator.deploy.fronts import Healths, target_healths
from orchestrator.deploy.members import Machine, Members, members
from orchestrator.deploy.remote import known
from orchestrator.deploy.resource import Found, Scope
from orchestrator.deploy.resources import BY_NAME

Status = dict[str, Any]


def machines_status(aws: Aws, scope: Scope, patience: Patience) -> Status:
    """`{machines: [...], groups: [...], balancers: error or empty}`. Raises CloudError."""
    now = members(aws, scope)
    healths = target_healths(aws, scope)
    views, trouble = _views(aws, now, patience)
    if not now.balancers and any(group.cluster and group.name in healths for group in now.groups):
        trouble = ""  # the ALB is the only front
    running = [one.ident for one in now.machines if one.staying and one.state == "running"]
    failed = boot_failures(aws, running, patience)
    templates = {t.key.name: t for t in BY_NAME["launch template"].find(aws, scope)}
    return {
        "machines": [_machine(one, views, healths, failed, templates) for one in now.machines],
        "groups": [
            {
                "name": group.name,
                "min": group.min,
                "max": group.max,
                "desired": group.desired,
                "suspended": list(group.suspended),
                "roll": group.roll,
            }
            for group in now.groups
        ],
        "balancers": trouble,
    }


def _views(aws: Aws, now: Members, patience: Patience) -> tuple[Views, str]:
    idents = [one.ident for one in now.balancers]
    reached = known(aws, idents) if idents else set[str]()
    if not reached:
        return {}, "no balancer answers" if now.machines else ""
    try:
        return Balancers(aws, reached, patience).look(), ""
    except CloudError as error:
        return {}, str(error)


def _machine(
    one: Machine, views: Views, healths: Healths, failed: Any, templates: dict[str, Found]
) -> Status:
    template = templates.get(one.resource)
    seen = {ident: view.find(one.ident, one.host) for ident, view in views.items()}
    states = {ident: target.state if target else "unknown" for ident, target in seen.items()}
    behind = healths.get(one.resource, {}).get(one.ident)
    in_front = {"alb" if one.cluster else "nlb": behind} if behind is not None else {}
    return {
        "id": one.ident,
        "of": one.resource,
        "state": one.state,
        "lifecycle": one.lifecycle,
        "address": one.host,
        "public": one.public,
        "version": one.version,
        "spec": one.template,
        "current": template is None or not one.template or one.template == template.spec,
        "health": (states if one.cluster else {}) | in_front,
        "boot": failed.get(one.ident, ""),
    }
