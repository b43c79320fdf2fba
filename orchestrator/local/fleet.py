"""The fleet as a whole: start -> wait until healthy -> ... -> stop.

    async with Fleet(plan) as fleet:
        await fleet.wait_healthy(show)
        ...

Leaving the block stops everything, however it is left, and does not return before all of it is
gone. That takes at most STOP_S, or no time at all once `hurry` is set.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self

import httpx

from orchestrator.local.plan import GRACE_S, FleetPlan, Program
from orchestrator.local.running import Running, ending, last_lines, start

HEALTHY_S: Final = 60.0  # eight Python servers on two busy cores need a few seconds
POLL_S: Final = 0.1
NOTICE_S: Final = 0.2  # between two signals, so that they are two
STOP_S: Final = GRACE_S + 2.0


class FleetError(Exception):
    """The fleet cannot be brought up; the message is meant for the user."""


class ProgramDied(FleetError):
    """A program ended before the fleet was healthy."""

    def __init__(self, program: Program, code: int) -> None:
        self.program = program
        lines = last_lines(program.log)
        said = "\n".join(f"    {line}" for line in lines) if lines else "    (it said nothing)"
        super().__init__(
            f"{program.name} {ending(code)} while the fleet was starting. Its last lines:\n"
            f"{said}\n  the whole log: {program.log}"
        )


@dataclass(frozen=True, slots=True)
class Health:
    """What the balancer says: which targets are healthy, out of how many."""

    healthy: frozenset[str]
    total: int
    balancer_answers: bool
    not_ready: str = ""  # why the balancer itself is not ready, in its own words


class Fleet:
    """The processes of one plan."""

    def __init__(self, plan: FleetPlan, hurry: asyncio.Event) -> None:
        self.plan = plan
        self.running: dict[str, Running] = {}
        self._hurry = hurry
        self._starting: set[asyncio.Task[Running]] = set()

    async def __aenter__(self) -> Self:
        """Start every program. Raises OSError; what had been started is stopped then."""
        try:
            self.plan.config.parent.mkdir(parents=True, exist_ok=True)
            self.plan.config.write_text(self.plan.config_text)
            for program in self.plan.programs:
                await self.start(program)
        except BaseException:  # cancelled, too: __aexit__ is not called when __aenter__ fails
            await self._stop()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stop()

    async def start(self, program: Program) -> Running:
        """Start one program of the plan, at first or again."""
        # Shielded and remembered: a process that was made and not noted would not be stopped.
        task = asyncio.ensure_future(self._start(program))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return await asyncio.shield(task)

    async def _start(self, program: Program) -> Running:
        running = await start(program)
        self.running[program.name] = running
        return running

    async def wait_healthy(
        self, show: Callable[[Health], None], *, deadline_s: float = HEALTHY_S
    ) -> None:
        """Until the balancer calls every worker healthy; `show` gets each new picture.

        Raises ProgramDied when a program ends meanwhile, FleetError when time is up.
        """
        deadline = time.monotonic() + deadline_s
        wanted = {worker.target_id for worker in self.plan.workers}
        async with httpx.AsyncClient(
            base_url=self.plan.admin_url, timeout=2.0, trust_env=False
        ) as admin:
            while True:
                for running in self.running.values():
                    if running.returncode is not None:
                        raise ProgramDied(running.program, running.returncode)
                health = await read_health(admin, wanted)
                show(health)
                if health.healthy == wanted:
                    return
                if time.monotonic() > deadline:
                    raise FleetError(self._late(health, wanted, deadline_s))
                await asyncio.sleep(POLL_S)

    def _late(self, health: Health, wanted: set[str], deadline_s: float) -> str:
        if not health.balancer_answers:
            return (
                f"the balancer's admin API does not answer after {deadline_s:g} s; "
                f"its log: {self.plan.balancer.log}"
            )
        if health.not_ready:
            return (
                f"the balancer is not ready after {deadline_s:g} s: {health.not_ready}; "
                f"its log: {self.plan.balancer.log}"
            )
        missing = [w for w in self.plan.workers if w.target_id in wanted - health.healthy]
        names = ", ".join(worker.name for worker in missing)
        return f"not healthy after {deadline_s:g} s: {names}; a log: {missing[0].log}"

    async def _stop(self) -> None:
        """End everything; a cancellation that comes meanwhile waits until it is done."""
        work = asyncio.ensure_future(self._end_all())
        cancelled = False
        while not work.done():
            try:
                await asyncio.shield(work)
            except asyncio.CancelledError:
                cancelled = True
                self._hurry.set()
        work.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _end_all(self) -> None:
        if self._starting:
            await asyncio.wait(self._starting)
        living = [r for r in self.running.values() if r.returncode is None]
        for running in reversed(living):
            running.terminate()
        ends = asyncio.ensure_future(self._all_ended())
        loop = asyncio.get_running_loop()
        for running in living:
            if running.program.gives_notice:  # and here is nobody who would have to notice
                loop.call_later(NOTICE_S, running.terminate)
        hurry = asyncio.ensure_future(self._hurry.wait())
        await asyncio.wait((ends, hurry), timeout=STOP_S, return_when=asyncio.FIRST_COMPLETED)
        hurry.cancel()
        for running in self.running.values():
            if running.returncode is None:
                running.send(signal.SIGKILL)
        await ends

    async def _all_ended(self) -> bool:
        await asyncio.gather(*(running.wait() for running in self.running.values()))
        return True


async def read_health(admin: httpx.AsyncClient, wanted: set[str]) -> Health:
    """One look at the balancer's admin API; an API that does not answer yet has nothing healthy.

    Raises FleetError when what answers is not the balancer's admin API.
    """
    try:
        ready = await admin.get("/readyz")
        clusters = await admin.get("/api/clusters")
        clusters.raise_for_status()
    except httpx.HTTPError:
        return Health(frozenset(), len(wanted), balancer_answers=False)
    try:
        seen = {
            str(target["id"])
            for cluster in clusters.json()["clusters"]
            for target in cluster["targets"]
            if target["state"] == "healthy"
        }
    except (ValueError, KeyError, TypeError) as error:
        what = f"{clusters.url} is no list of clusters: {type(error).__name__} {error}"
        raise FleetError(what) from error
    if ready.status_code != httpx.codes.OK:
        # Before a data plane has the picture, it answers 503 whatever the targets' health.
        return Health(frozenset(), len(wanted), balancer_answers=True, not_ready=ready.text[:200])
    return Health(frozenset(seen & wanted), len(wanted), balancer_answers=True)
