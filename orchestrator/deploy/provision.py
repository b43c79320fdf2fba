"""Take the steps of a plan, side by side where nothing depends.

Killed at any call, the same command goes on where it was. A refusal lets the steps under way come
to their end and begins no other; Ctrl-C ends each of them after the call that it is in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from orchestrator.aws.door import Aws, Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.plan import Plan, Step
from orchestrator.deploy.progress import Show, Turn, unseen
from orchestrator.deploy.resource import Found, Key, Making, Scope, digest, resolve
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.resources.gone import when_let_go
from orchestrator.deploy.resources.machine import Instance
from orchestrator.deploy.resources.visible import when_visible
from orchestrator.deploy.successor import stop_serving

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run that changes the world is given: time, chance, patience, and whom to tell.

    `report` and `show` are called from any thread.
    """

    clock: Callable[[], float]
    fresh_token: Callable[[], str]
    patience: Patience
    settle: Patience  # for what AWS may show late
    report: Report
    show: Show = unseen


def provision(aws: Aws, plan: Plan, journal: Journal, around: Surroundings) -> None:
    """Bring the account to what the plan wants, and wait until the machines run.

    Errors:
        CloudError: a check fails, AWS refuses, or a wait has no end.
    """
    if plan.failing:
        told = "; ".join(f"{check.about}: {check.told}" for check in plan.failing)
        raise CloudError(f"up {plan.deployment}", told, "steelyard plan shows every check")
    _Run(aws, plan, journal, around).take_all()
    wait_in_service(aws, plan, around)


def wait_in_service(aws: Aws, plan: Plan, around: Surroundings) -> None:
    """Until every group has as many machines in service as it wants. Raises CloudError."""
    sizes = {s.key for s in plan.steps if s.wanted and s.key.kind == "group"}
    scope = Scope(plan.deployment)

    def missing() -> str:
        groups = [group for group in BY_NAME["group"].find(aws, scope) if group.key in sizes]
        short = [
            f"{g.key.name} {g.about['in_service']} of {g.about['desired']}"
            for g in groups
            if g.about["in_service"] < g.about["desired"]
        ]
        return ", ".join(short)

    wait_until("in service", missing, around.report, around.patience)


class _StoppedError(Exception):
    """The run ends: this step makes no further call."""


class _Run:
    """The first thread decides what may begin, and alone writes `_ids` and `_digests`."""

    def __init__(self, aws: Aws, plan: Plan, journal: Journal, around: Surroundings) -> None:
        self._stopped = threading.Event()
        self._aws = aws.watched(self._halt)
        self._scope = Scope(plan.deployment)
        self._journal = journal
        self._around = around
        self._ids: dict[Key, str] = {}
        self._digests: dict[Key, str] = {}
        self._waiting = {step.key: step for step in plan.steps if step.wanted is not None}
        self._gone = [step for step in plan.steps if step.wanted is None]

    def _halt(self, call: Call, phase: Phase) -> None:
        if phase == "before" and self._stopped.is_set():
            raise _StoppedError(str(call))

    def take_all(self) -> None:
        """Everything that is wanted, then what is not wanted any more, one after the other."""
        for step in self._waiting.values():
            self._around.show(Turn(step.key, "kept" if step.action == "keep" else "waits"))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            running: dict[Future[str], Step] = {}
            try:
                while self._waiting or running:
                    self._begin(pool, running)
                    done, _ = wait(running, return_when=FIRST_COMPLETED)
                    self._end(done, running)
            except BaseException:
                self._stopped.set()
                raise
        for step in self._gone:
            if step.found is not None:
                self._delete(step.found)

    def _begin(self, pool: ThreadPoolExecutor, running: dict[Future[str], Step]) -> None:
        """Start all whose needs are there; what is kept needs no thread."""
        progress = True
        while progress:
            progress = False
            for key, step in list(self._waiting.items()):
                if not self._ready(step):
                    continue
                del self._waiting[key]
                progress = True
                if step.found is not None and step.action != "replace":
                    self._journal.adopt(step.key, step.found.ident)
                making = self._making(step)
                self._digests[key] = making.digest
                if step.action == "keep" and step.found is not None:
                    self._ids[key] = step.found.ident
                else:
                    running[pool.submit(self._take, step, making)] = step
        if not running and self._waiting:
            raise CloudError(
                str(next(iter(self._waiting))), "it needs something that is not in the plan"
            )

    def _ready(self, step: Step) -> bool:
        return step.wanted is not None and all(need in self._ids for need in step.wanted.needs)

    def _end(self, done: set[Future[str]], running: dict[Future[str], Step]) -> None:
        """Note what came to its end; on a refusal let the others come to theirs.

        Errors:
            CloudError: the refusals of all of them.
        """
        errors: list[CloudError] = []
        while done:
            for future in done:
                step = running.pop(future)
                error = future.exception()
                if error is None:
                    self._ids[step.key] = future.result()
                elif isinstance(error, CloudError):
                    errors.append(error)
                else:
                    raise error
            done = wait(running).done if errors else set()
        if errors:
            first = errors[0]
            also = "".join(f"; and {error}" for error in errors[1:])
            raise CloudError(first.place, first.cause + also, first.suggestion, first.code)

    def _take(self, step: Step, making: Making) -> str:
        """One step, in a thread of its own; the id of what is there then."""
        around, begun = self._around, self._around.clock()

        def show(state: str) -> None:
            around.show(Turn(step.key, state, around.clock() - begun))

        try:
            ident = self._made(step, making, show)
        except BaseException as error:
            show("stopped" if isinstance(error, _StoppedError) else "failed")
            raise
        show("there")
        return ident

    def _made(self, step: Step, making: Making, show: Callable[[str], None]) -> str:
        kind = BY_NAME[step.key.kind]
        patience = self._around.patience
        if step.action == "change" and step.found is not None:
            self._around.report(f"change {step.key}")
            ident = step.found.ident
        else:
            show("create")
            self._around.report(f"create {step.key}: {step.details}")
            noted = {"digest": making.digest, "token": making.token}
            with self._journal.around("create", step.key, **noted) as entry:
                ident = entry["id"] = when_visible(lambda: kind.create(self._aws, making), patience)
        show("complete")
        with self._journal.around("complete", step.key, id=ident):
            when_visible(lambda: kind.complete(self._aws, ident, making), patience)
            when_visible(lambda: kind.seal(self._aws, ident, making.digest), patience)
        if step.action == "replace" and step.found is not None:
            show("delete old")
            self._delete(step.found)
        return ident

    def _making(self, step: Step) -> Making:
        spec: Mapping[str, object] = step.wanted.spec if step.wanted else {}
        resolved = resolve(spec, self._ids, self._digests)
        if resolved is None:
            raise CloudError(str(step.key), "it refers to something that it does not need")
        sealed = digest(resolved)
        return Making(
            key=step.key,
            spec=resolved,
            scope=self._scope,
            digest=sealed,
            token=self._journal.token(step.key, sealed, self._around.fresh_token),
            now_s=self._around.clock(),
            patience=self._around.patience,
            report=self._around.report,
        )

    def _delete(self, found: Found) -> None:
        if found.key.kind == Instance.name:
            stop_serving(self._aws, [found.ident], self._around.report, self._around.patience)
        self._around.report(f"delete {found.key} {found.ident}")
        with self._journal.around("delete", found.key, id=found.ident):
            kind = BY_NAME[found.key.kind]
            when_let_go(lambda: kind.delete(self._aws, found), self._around.patience)
