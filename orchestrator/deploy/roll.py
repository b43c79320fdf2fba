"""A new version of machines without one lost request; on failing health or errors, back again.

Workers by cluster; balancers in a group behind their load balancer, or one whose address moves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy import roll_note
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.members import BALANCER, Group, members
from orchestrator.deploy.plan import Plan
from orchestrator.deploy.provision import Surroundings, provision
from orchestrator.deploy.replace import TEMPLATE, Replacement, Speed, template_of
from orchestrator.deploy.resource import Key, Scope
from orchestrator.deploy.roll_note import Note
from orchestrator.deploy.rolled_balancers import RolledBalancers
from orchestrator.deploy.rolled_workers import RolledWorkers

_TEMPLATE: Final = Key(TEMPLATE, BALANCER)
_GROUP: Final = Key("group", BALANCER)
_ONE: Final = Key("instance", BALANCER)


def roll(
    aws: Aws,
    plan: Plan,
    clusters: Collection[str],
    speed: Speed,
    *,
    journal: Journal,
    around: Surroundings,
) -> int:
    """Make every worker of the clusters what `plan` wants; how many were replaced.

    Errors:
        RollHaltedError: the new version was not fit; the old one is in place again.
        CloudError: refused or interrupted: repeat it, or take it back.
    """
    scope = Scope(plan.deployment)
    templates = _only(plan, {Key(TEMPLATE, name) for name in clusters})
    run = Replacement(aws, scope, RolledWorkers(aws, scope, speed, around), speed, journal, around)
    now = members(aws, scope)
    if any(not group.cluster and group.roll for group in now.groups):
        raise CloudError(
            f"roll {plan.deployment}",
            "the balancers' roll is not over",
            "steelyard roll --balancer, or: steelyard roll --back",
        )
    groups = [group for group in now.clusters if group.name in clusters]
    missing = sorted(set(clusters) - {group.name for group in groups})
    if missing:
        raise CloudError("roll", f"no group {', '.join(missing)}", "steelyard up makes it")
    notes = {g.name: roll_note.begin(aws, g, template_of(aws, scope, g.name).ident) for g in groups}
    provision(aws, templates, journal, around)
    run.forward(groups, notes)
    return run.replaced


def roll_balancers(
    aws: Aws, plan: Plan, speed: Speed, *, journal: Journal, around: Surroundings
) -> int:
    """Make every balancer what `plan` wants; how many were replaced.

    Errors:
        RollHaltedError: the new version was not fit; the old one is in place again.
        CloudError: refused or interrupted: repeat it, or take it back.
    """
    group = _balancers(aws, plan)
    if group is not None:
        # Noted before the template is another one: a machine may be replaced at any time.
        ours = _only(plan, {_TEMPLATE})
        _begun(aws, group, plan)
        provision(aws, ours, journal, around)
        return refresh_balancers(aws, plan, speed, journal=journal, around=around)
    if not any(step.key == _ONE and step.found and step.wanted for step in plan.steps):
        place = f"roll --balancer of {plan.deployment}"
        raise CloudError(place, "no balancer runs", "steelyard up makes it, with front: balancer")
    # A single one: the new one is made beside it, then the address moves.
    provision(aws, _only(plan, {_TEMPLATE, _ONE}), journal, around)
    return int(any(step.key == _ONE for step in plan.changes))


def refresh_balancers(
    aws: Aws, plan: Plan, speed: Speed, *, journal: Journal, around: Surroundings
) -> int:
    """What `up` does when it has come to the plan's end: balancers in a group that run another
    version than their template are replaced. How many were.

    Errors: as `roll_balancers`.
    """
    group = _balancers(aws, plan)
    if group is None:
        return 0
    scope = Scope(plan.deployment)
    wanted = template_of(aws, scope, BALANCER).spec
    if not group.roll and all(one.template == wanted for one in group.staying):
        return 0
    part = RolledBalancers(aws, scope, speed, around)
    run = Replacement(aws, scope, part, speed, journal, around)
    run.forward([group], {group.name: _begun(aws, group, plan)})
    return run.replaced


def roll_back(
    aws: Aws, deployment: str, speed: Speed, journal: Journal, around: Surroundings
) -> int:
    """Take back a roll that was interrupted; how many machines were replaced.

    Errors:
        CloudError: no roll is under way, or the old version is not fit either.
    """
    scope = Scope(deployment)
    rolled = [group for group in members(aws, scope).groups if group.roll]
    if not rolled:
        raise CloudError(
            "roll --back", "no roll is under way", "steelyard roll --image-tag goes to any image"
        )
    replaced = 0
    for part, groups in (
        (RolledBalancers(aws, scope, speed, around), [g for g in rolled if not g.cluster]),
        (RolledWorkers(aws, scope, speed, around), [g for g in rolled if g.cluster]),
    ):
        run = Replacement(aws, scope, part, speed, journal, around)
        run.back(groups, {group.name: Note.parse(group.roll) for group in groups})
        replaced += run.replaced
    return replaced


def _balancers(aws: Aws, plan: Plan) -> Group | None:
    """The balancers' group, where the plan has one and it is there."""
    if not any(step.key == _GROUP and step.wanted for step in plan.steps):
        return None
    groups = members(aws, Scope(plan.deployment)).groups
    return next((g for g in groups if g.name == BALANCER and not g.cluster), None)


def _begun(aws: Aws, group: Group, plan: Plan) -> Note:
    """The note of their roll, with the size that is wanted now."""
    (spec,) = [step.wanted.spec for step in plan.steps if step.key == _GROUP and step.wanted]
    note = roll_note.begin(aws, group, template_of(aws, Scope(plan.deployment), BALANCER).ident)
    return dataclasses.replace(note, min=spec["min"], max=spec["max"], desired=spec["desired"])


def _only(plan: Plan, ours: Collection[Key]) -> Plan:
    """The plan with these as its only changes. Raises CloudError."""
    steps, others = [], []
    for step in plan.steps:
        if step.key in ours or step.action == "keep":
            steps.append(step)
        elif step.action in ("change", "replace") and step.key.kind in (TEMPLATE, "instance"):
            steps.append(dataclasses.replace(step, action="keep"))
        else:
            others.append(f"{step.action} {step.key}")
    if others:
        raise CloudError(f"roll {plan.deployment}", f"the plan has more: {', '.join(others)}", "up")
    return dataclasses.replace(plan, steps=tuple(steps))
