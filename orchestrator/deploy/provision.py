"""Take the steps of a plan. Killed at any call, the same command goes on where it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.plan import Plan, Step
from orchestrator.deploy.resource import Found, Key, Making, Scope, digest, resolve
from orchestrator.deploy.resources import BY_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run that changes the world is given: time, chance, patience, and whom to tell."""

    clock: Callable[[], float]
    fresh_token: Callable[[], str]
    patience: Patience
    settle: Patience  # for what AWS may show late
    report: Report


def provision(aws: Aws, plan: Plan, journal: Journal, around: Surroundings) -> None:
    """Bring the account to what the plan wants, and wait until the machines run.

    Errors:
        CloudError: a check fails, AWS refuses, or a wait has no end.
    """
    if plan.failing:
        told = "; ".join(f"{check.about}: {check.told}" for check in plan.failing)
        raise CloudError(f"up {plan.deployment}", told, "steelyard plan shows every check")
    run = _Run(aws, plan, journal, around)
    for step in plan.steps:
        run.take(step)
    run.wait()


class _Run:
    def __init__(self, aws: Aws, plan: Plan, journal: Journal, around: Surroundings) -> None:
        self._aws = aws
        self._scope = Scope(plan.deployment)
        self._journal = journal
        self._around = around
        self._ids: dict[Key, str] = {}
        self._digests: dict[Key, str] = {}
        self._sizes = {s.key for s in plan.steps if s.wanted and s.key.kind == "group"}

    def take(self, step: Step) -> None:
        kind = BY_NAME[step.key.kind]
        if step.action in ("delete", "replace") and step.found is not None:
            self._delete(step.found)
        if step.wanted is None:
            return
        if step.found is not None and step.action != "replace":
            self._journal.adopt(step.key, step.found.ident)
        making, sealed = self._making(step)
        self._digests[step.key] = sealed
        if step.action == "keep" and step.found is not None:
            self._ids[step.key] = step.found.ident
            return
        if step.action == "change" and step.found is not None:
            self._around.report(f"change {step.key}")
            ident = step.found.ident
        else:
            self._around.report(f"create {step.key}: {step.details}")
            with self._journal.around(
                "create", step.key, digest=sealed, token=making.token
            ) as entry:
                ident = entry["id"] = kind.create(self._aws, making)
        with self._journal.around("complete", step.key, id=ident):
            kind.complete(self._aws, ident, making)
            kind.seal(self._aws, ident, sealed)
        self._ids[step.key] = ident

    def _making(self, step: Step) -> tuple[Making, str]:
        assert step.wanted is not None  # noqa: S101 - the caller looked
        resolved = resolve(step.wanted.spec, self._ids, self._digests)
        if resolved is None:
            raise CloudError(str(step.key), "it needs something that comes later in the plan")
        sealed = digest(resolved)
        making = Making(
            key=step.key,
            spec=resolved,
            scope=self._scope,
            digest=sealed,
            token=self._journal.token(step.key, sealed, self._around.fresh_token),
            now_s=self._around.clock(),
            patience=self._around.patience,
            report=self._around.report,
        )
        return making, sealed

    def _delete(self, found: Found) -> None:
        self._around.report(f"delete {found.key} {found.ident}")
        with self._journal.around("delete", found.key, id=found.ident):
            BY_NAME[found.key.kind].delete(self._aws, found)

    def wait(self) -> None:
        """Until every group has as many machines in service as it wants."""

        def missing() -> str:
            groups = [
                g for g in BY_NAME["group"].find(self._aws, self._scope) if g.key in self._sizes
            ]
            short = [
                f"{g.key.name} {g.about['in_service']} of {g.about['desired']}"
                for g in groups
                if g.about["in_service"] < g.about["desired"]
            ]
            return ", ".join(short)

        wait_until("in service", missing, self._around.report, self._around.patience)
