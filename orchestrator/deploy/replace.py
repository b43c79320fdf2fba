"""Machines of a group by those of another version: grow, wait until the new ones are fit, end as
many old ones. Nothing is remembered between batches: what there is tells what comes next.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
from orchestrator.deploy import roll_note
from orchestrator.deploy.balancers import Views
from orchestrator.deploy.boots import boot_failures
from orchestrator.deploy.drain import DEADLINE_S
from orchestrator.deploy.gate import MAX_ERROR_RATE, Gate
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.members import Group, Machine, Members, members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.resource import Found, Key, Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.roll_note import Note
from services.contract import DRAIN_FRONT_S

TEMPLATE: Final = "launch template"
_BOOTS_EVERY: Final = 4  # looks at health between two looks at boots


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast, and what stops it. `batch`: so many machines, or that part of each group."""

    batch: int | Fraction = 1
    pause_s: float = 0.0  # between batches; errors are watched in it
    warm_s: float = 10.0  # healthy for so long before an old machine goes
    drain_s: float = DEADLINE_S
    notice_s: float = DRAIN_FRONT_S  # until a load balancer sends a balancer no new connection
    max_error_rate: float = MAX_ERROR_RATE

    def machines(self, desired: int) -> int:
        """Machines of one batch, at least 1."""
        part = isinstance(self.batch, Fraction)
        return max(1, int(self.batch * desired if part else self.batch))


class RollHaltedError(CloudError):
    """New machines are not fit."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the balancers say, and why new machines are not fit yet, by machine."""

    views: Views
    unfit: Mapping[str, str]


class Part(Protocol):
    """What differs between workers and balancers. All calls raise CloudError."""

    def restore(self, good: Collection[Machine]) -> None:
        """Those that shall stay serve again, if a run that died was about to end them."""

    def look(self, now: Members, group: Group, good: Collection[Machine]) -> Look:
        """Whether the new machines can take the place of old ones."""

    def retire(self, machines: Collection[Machine]) -> None:
        """Nobody is sent there any more, what is under way is finished, they are gone."""


def template_of(aws: Aws, scope: Scope, name: str) -> Found:
    """The launch template of a group. Raises CloudError."""
    for one in BY_NAME[TEMPLATE].find(aws, scope):
        if one.key.name == name:
            return one
    raise CloudError("roll", f"no launch template {name}", "steelyard up makes it")


class Replacement:
    """Of the machines of one part. `replaced` counts those that are gone."""

    def __init__(  # noqa: PLR0917 - one of each
        self,
        aws: Aws,
        scope: Scope,
        part: Part,
        speed: Speed,
        journal: Journal,
        around: Surroundings,
    ) -> None:
        self._aws = aws
        self._scope = scope
        self._part = part
        self._speed = speed
        self._journal = journal
        self._around = around
        self.replaced = 0

    def forward(self, groups: Collection[Group], notes: Mapping[str, Note]) -> None:
        """All machines become what their templates say; back again when new ones are not fit.

        Errors:
            RollHaltedError: they were not; the old version is in place again.
            CloudError: refused or interrupted.
        """
        try:
            for group in groups:
                wanted = template_of(self._aws, self._scope, group.name).spec
                gate = Gate(group.cluster, self._speed.max_error_rate)
                self._replace(group.name, wanted, notes[group.name], gate)
        except RollHaltedError as halted:
            self._around.report(f"halted: {halted.cause}; going back")
            self.back(groups, notes)
            raise
        for group in groups:
            roll_note.end(self._aws, group, notes[group.name])

    def back(self, groups: Collection[Group], notes: Mapping[str, Note]) -> None:
        """All machines become what they were before. Raises CloudError."""
        for group in groups:
            template = template_of(self._aws, self._scope, group.name)
            roll_note.revert(self._aws, template.ident, notes[group.name])
        for group in groups:
            note = notes[group.name]
            self._replace(group.name, note.spec, note, None)  # it ran before: no gate to pass
        for group in groups:
            roll_note.end(self._aws, group, notes[group.name])

    def _replace(self, name: str, wanted: str, note: Note, gate: Gate | None) -> None:
        """Until no machine of the group is of another version than `wanted`."""
        batch = self._speed.machines(note.desired)
        self._part.restore([m for m in self._group(name).staying if m.template == wanted])
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
                if going:
                    self._part.retire(going)
                self.replaced += len(going)
            if self._speed.pause_s and len(old) > len(going):
                self._pause(name, wanted, gate)

    def _group(self, name: str) -> Group:
        (group,) = [g for g in members(self._aws, self._scope).groups if g.name == name]
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

    def _look(self, name: str, wanted: str, gate: Gate | None) -> tuple[Group, Look]:
        """Raises RollHaltedError: there are too many errors."""
        now = members(self._aws, self._scope)
        (group,) = [g for g in now.groups if g.name == name]
        good = [one for one in group.staying if one.template == wanted]
        look = self._part.look(now, group, good)
        if gate is not None and (trouble := gate.look(look.views, good)):
            raise RollHaltedError(f"roll {name}", trouble)
        return group, look

    def _wait_fit(self, name: str, wanted: str, aim: int, gate: Gate | None) -> None:
        """Until the group has its size, and every machine of the wanted version is fit."""
        looks = 0

        def missing() -> str:
            nonlocal looks
            looks += 1
            group, look = self._look(name, wanted, gate)
            if look.unfit and looks % _BOOTS_EVERY == 0:
                failed = boot_failures(self._aws, look.unfit.keys(), self._around.patience)
                for ident, told in failed.items():
                    raise RollHaltedError(f"boot of {ident}", told.splitlines()[-1])
            if len(group.staying) < aim:
                return f"{len(group.staying)} of {aim} machines"
            return ", ".join(f"{ident} {why}" for ident, why in look.unfit.items())

        try:
            wait_until(f"roll {name}", missing, self._around.report, self._around.patience)
        except RollHaltedError:
            raise
        except CloudError as error:
            if gate is None or not error.cause.startswith("after "):
                raise
            raise RollHaltedError(error.place, error.cause) from error

    def _pause(self, name: str, wanted: str, gate: Gate | None) -> None:
        begun = self._around.clock()

        def missing() -> str:
            self._look(name, wanted, gate)
            over = self._around.clock() - begun >= self._speed.pause_s
            return "" if over else f"watching for {self._speed.pause_s:g} s"

        wait_until(f"roll {name}", missing, self._around.report, self._around.patience)


def size(good: int, old: int, desired: int, batch: int) -> int:
    """Pure. How many machines the group should have now; the same before and after it has them.

    Never below `desired`, nor more than a batch above it, unless there are more already.
    """
    still_to_come = max(0, desired - good)
    return max(good + old, min(desired + min(batch, old), good + old + still_to_come))
