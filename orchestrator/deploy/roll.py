"""A new version of machines without one lost request; on failing health or errors, back again.

By group, in batches: grow, wait until the new ones are healthy in every balancer and warm, drain as
many old ones, end them. Nothing is remembered between batches: what there is tells what comes next.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
from orchestrator.deploy import roll_note
from orchestrator.deploy.balancers import Views
from orchestrator.deploy.boots import boot_failures
from orchestrator.deploy.drain import DEADLINE_S, balancers_of, retire
from orchestrator.deploy.gate import MAX_ERROR_RATE, Gate
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.members import Group, Machine, members
from orchestrator.deploy.plan import Plan
from orchestrator.deploy.provision import Surroundings, provision
from orchestrator.deploy.resource import Found, Key, Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.roll_note import Note

_BOOTS_EVERY: Final = 4  # looks at health between two looks at boots
_TEMPLATE: Final = "launch template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast, and what stops it. `batch` is a number of machines or a part of the group (< 1)."""

    batch: float = 1
    pause_s: float = 0.0  # between batches; errors are watched in it
    warm_s: float = 10.0  # healthy for so long before an old machine goes
    drain_s: float = DEADLINE_S
    max_error_rate: float = MAX_ERROR_RATE

    def machines(self, desired: int) -> int:
        """Machines of one batch, at least 1."""
        return max(1, int(self.batch if self.batch >= 1 else self.batch * desired))


class RollHaltedError(CloudError):
    """New machines are not fit."""


def roll(
    aws: Aws,
    plan: Plan,
    clusters: Collection[str],
    speed: Speed,
    *,
    journal: Journal,
    around: Surroundings,
) -> int:
    """Make every machine of the clusters what `plan` wants; how many were replaced.

    Errors:
        RollHaltedError: the new version was not fit; the old one is in place again.
        CloudError: refused or interrupted: repeat it, or take it back.
    """
    run = _Roll(aws, Scope(plan.deployment), speed, journal, around)
    templates = _templates_only(plan, clusters)
    groups = run.groups(clusters)
    notes = {g.name: roll_note.begin(aws, g, run.template(g.name).ident) for g in groups}
    provision(aws, templates, journal, around)
    try:
        for group in groups:
            wanted = run.template(group.name).spec
            run.replace(
                group.name, wanted, notes[group.name], Gate(group.name, speed.max_error_rate)
            )
    except RollHaltedError as halted:
        around.report(f"halted: {halted.cause}; going back")
        run.go_back(groups, notes)
        raise
    for group in groups:
        roll_note.end(aws, group, notes[group.name])
    return run.replaced


def roll_back(
    aws: Aws, deployment: str, speed: Speed, journal: Journal, around: Surroundings
) -> int:
    """Take back a roll that was interrupted; how many machines were replaced.

    Errors:
        CloudError: no roll is under way, or the old version is not fit either.
    """
    run = _Roll(aws, Scope(deployment), speed, journal, around)
    groups = [group for group in members(aws, Scope(deployment)).clusters if group.roll]
    if not groups:
        raise CloudError(
            "roll --back", "no roll is under way", "steelyard roll --image-tag goes to any image"
        )
    run.go_back(groups, {group.name: Note.parse(group.roll) for group in groups})
    return run.replaced


def _templates_only(plan: Plan, clusters: Collection[str]) -> Plan:
    """The plan with the clusters' templates as its only changes. Raises CloudError."""
    steps, others = [], []
    for step in plan.steps:
        ours = step.key.kind == _TEMPLATE and step.key.name in clusters
        if ours or step.action == "keep":
            steps.append(step)
        elif step.action in ("change", "replace") and step.key.kind in (_TEMPLATE, "instance"):
            steps.append(dataclasses.replace(step, action="keep"))
        else:
            others.append(f"{step.action} {step.key}")
    if others:
        raise CloudError(f"roll {plan.deployment}", f"the plan has more: {', '.join(others)}", "up")
    return dataclasses.replace(plan, steps=tuple(steps))


class _Roll:
    def __init__(
        self, aws: Aws, scope: Scope, speed: Speed, journal: Journal, around: Surroundings
    ) -> None:
        self._aws = aws
        self._scope = scope
        self._speed = speed
        self._journal = journal
        self._around = around
        self.replaced = 0

    def groups(self, clusters: Collection[str]) -> list[Group]:
        found = [g for g in members(self._aws, self._scope).clusters if g.name in clusters]
        missing = sorted(set(clusters) - {group.name for group in found})
        if missing:
            raise CloudError("roll", f"no group {', '.join(missing)}", "steelyard up makes it")
        return found

    def template(self, name: str) -> Found:
        found = BY_NAME[_TEMPLATE].find(self._aws, self._scope)
        for one in found:
            if one.key.name == name:
                return one
        raise CloudError("roll", f"no launch template {name}", "steelyard up makes it")

    def go_back(self, groups: Collection[Group], notes: dict[str, Note]) -> None:
        for group in groups:
            roll_note.revert(self._aws, self.template(group.name).ident, notes[group.name])
        for group in groups:
            note = notes[group.name]
            self.replace(group.name, note.spec, note, None)  # what ran before has no gate to pass
        for group in groups:
            roll_note.end(self._aws, group, notes[group.name])

    def replace(self, name: str, wanted: str, note: Note, gate: Gate | None) -> None:
        """Until no machine of the group is of another version than `wanted`."""
        batch = self._speed.machines(note.desired)
        while True:
            group = self._group(name)
            good = [one for one in group.staying if one.template == wanted]
            old = [one for one in group.staying if one.template != wanted]
            if not old:
                return
            aim = size(len(good), len(old), note.desired, batch)
            with self._journal.around("roll", Key("group", name), to=wanted):
                if group.desired != aim or group.max < aim:
                    self._around.report(f"{name}: {len(old)} to replace, growing to {aim}")
                    self._resize(group, aim, note)
                self._wait_fit(name, wanted, aim, gate)
                old = [one for one in self._group(name).staying if one.template != wanted]
                going = sorted(old, key=lambda m: (m.launched, m.ident))
                going = going[: max(0, aim - note.desired)]
                retire(self._aws, self._scope, going, self._speed.drain_s, self._around)
                self.replaced += len(going)
            if self._speed.pause_s and len(old) > len(going):
                self._pause(name, wanted, gate)

    def _group(self, name: str) -> Group:
        (group,) = [g for g in members(self._aws, self._scope).clusters if g.name == name]
        return group

    def _resize(self, group: Group, aim: int, note: Note) -> None:
        self._aws.call(
            "autoscaling",
            "update_auto_scaling_group",
            AutoScalingGroupName=group.ident,
            MinSize=min(note.min, aim),
            MaxSize=max(note.max, aim),
            DesiredCapacity=aim,
        )

    def _wait_fit(self, name: str, wanted: str, aim: int, gate: Gate | None) -> None:
        """Until the group has its size, and every machine of the wanted version serves, warm."""
        looks = 0

        def missing() -> str:
            nonlocal looks
            looks += 1
            now = members(self._aws, self._scope)
            (group,) = [g for g in now.clusters if g.name == name]
            good = [one for one in group.staying if one.template == wanted]
            views = balancers_of(self._aws, now, self._around).look()
            if gate is not None and (trouble := gate.look(views, good)):
                raise RollHaltedError(f"roll {name}", trouble)
            cold = [one.ident for one in good if not self._warm(one, views)]
            if cold and looks % _BOOTS_EVERY == 0:
                for ident, told in boot_failures(self._aws, cold, self._around.patience).items():
                    raise RollHaltedError(f"boot of {ident}", told.splitlines()[-1])
            if len(group.staying) < aim:
                return f"{len(group.staying)} of {aim} machines"
            return f"{', '.join(cold)} not warm yet" if cold else ""

        try:
            wait_until(f"roll {name}", missing, self._around.report, self._around.patience)
        except RollHaltedError:
            raise
        except CloudError as error:
            if gate is None or not error.cause.startswith("after "):
                raise
            raise RollHaltedError(error.place, error.cause) from error

    def _warm(self, machine: Machine, views: Views) -> bool:
        seen = [view.find(machine.ident, machine.host) for view in views.values()]
        return machine.in_service and all(
            target is not None
            and target.state == "healthy"
            and target.steady_s >= self._speed.warm_s
            for target in seen
        )

    def _pause(self, name: str, wanted: str, gate: Gate | None) -> None:
        begun = self._around.clock()

        def missing() -> str:
            now = members(self._aws, self._scope)
            (group,) = [g for g in now.clusters if g.name == name]
            good = [one for one in group.staying if one.template == wanted]
            views = balancers_of(self._aws, now, self._around).look()
            if gate is not None and (trouble := gate.look(views, good)):
                raise RollHaltedError(f"roll {name}", trouble)
            over = self._around.clock() - begun >= self._speed.pause_s
            return "" if over else f"watching for {self._speed.pause_s:g} s"

        wait_until(f"roll {name}", missing, self._around.report, self._around.patience)


def size(good: int, old: int, desired: int, batch: int) -> int:
    """Pure. How many machines the group should have now; the same before and after it has them.

    Never below `desired`, nor more than a batch above it, unless there are more already.
    """
    still_to_come = max(0, desired - good)
    return max(good + old, min(desired + min(batch, old), good + old + still_to_come))
