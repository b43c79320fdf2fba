"""The commands of a deployment's life in their order, each timed, as a user would type them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final

from loadtest.lifecycle.clients import Noticed, asking

COMMAND_S: Final = 900.0
PER_SECOND: Final = 20.0  # of each kind of client
SETTLED_S: Final = 2.0  # clients go on for so long after a command, to see its last effects
CLUSTERS: Final = ("cluster1", "cluster2")
PLAN_MOST_S: Final = 5.0
UP_MOST_S: Final = 180.0
DOWN_MOST_S: Final = 60.0

SETTINGS: Final = """\
name: lifecycle
region: eu-west-1
clusters:
  - {{name: cluster1, type: t2.micro, count: {count}, work_ms: {work_ms}}}
  - {{name: cluster2, type: t2.large, count: {count}, work_ms: {work_ms}}}
balancer: {{type: {balancer}}}
access: [0.0.0.0/0]
"""


class StepFailed(RuntimeError):
    """A command ended with another status than 0; the message is what it printed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One command: how long it took, the most it should take, and what clients noticed."""

    what: str
    seconds: float
    most_s: float | None = None
    noticed: tuple[Noticed, ...] = ()


@dataclass
class Story:
    """A deployment of `count` workers in each of two clusters, in `folder` alone."""

    folder: Path
    count: int
    say: Callable[[str], None]
    steps: list[Step] = field(default_factory=list)
    _base: str = ""  # where clients ask, once `up` has said so

    async def play(self) -> list[Step]:
        """All of it; StepFailed at the first command that fails. Nothing is left standing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._settle(work_ms=0, balancer="t3.small")
        try:
            await self._live()
        except (StepFailed, asyncio.CancelledError) as failed:
            try:
                await self._types("cloud", "stop")
            except StepFailed as as_well:
                raise StepFailed(f"{failed}\n{as_well}") from None
            raise
        await self._types("cloud", "stop")
        return self.steps

    async def _live(self) -> None:
        await self._types("cloud", "start")
        await self._step("images push", "images", "push", "--file", self._file)
        await self._step("plan", "plan", "--file", self._file, most_s=PLAN_MOST_S)
        shown = await self._step("up", "up", "--yes", "--file", self._file, most_s=UP_MOST_S)
        self._base = _address(shown)
        await self._step("up again: no change", "up", "--yes", "--file", self._file)
        async with self._watched("the balancer is replaced (`up`)"):
            self._settle(work_ms=1, balancer="t3.medium")
            await self._types("up", "--yes", "--file", self._file)
        async with self._watched("every worker is replaced (`roll --batch 50%`)"):
            await self._types("roll", "--batch", "50%", "--file", self._file)
        await self._step("down", "down", "--yes", "--file", self._file, most_s=DOWN_MOST_S)

    @property
    def _file(self) -> str:
        return str(self.folder / "deploy.yaml")

    def _settle(self, *, work_ms: int, balancer: str) -> None:
        text = SETTINGS.format(count=self.count, work_ms=work_ms, balancer=balancer)
        Path(self._file).write_text(text)

    async def _step(self, what: str, *words: str, most_s: float | None = None) -> str:
        begun = monotonic()
        shown = await self._types(*words)
        self._done(Step(what, monotonic() - begun, most_s))
        return shown

    @contextlib.asynccontextmanager
    async def _watched(self, what: str) -> AsyncIterator[None]:
        async with asking(self._base, [f"/{name}" for name in CLUSTERS], PER_SECOND) as noticed:
            begun = monotonic()
            yield
            seconds = monotonic() - begun
            await asyncio.sleep(SETTLED_S)
        self._done(Step(what, seconds, noticed=noticed))

    def _done(self, step: Step) -> None:
        self.steps.append(step)
        self.say(f"{step.what}: {step.seconds:.1f} s")

    async def _types(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            Path(sys.executable).with_name("steelyard"),
            *words,
            env=os.environ
            | {"CLOUD": "local", "STEELYARD_STATE": str(self.folder / "state"), "COLUMNS": "200"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(COMMAND_S):
                output = (await process.communicate())[0].decode()
        except BaseException:
            if process.returncode is None:
                process.kill()
                await process.wait()
            raise
        if process.returncode != 0:
            raise StepFailed(
                f"steelyard {' '.join(words)} ended with {process.returncode}:\n{output}"
            )
        return output


def _address(shown: str) -> str:
    found = re.search(r"http://[0-9.]+", shown)
    if found is None:
        raise StepFailed(f"`up` named no address:\n{shown}")
    return found[0]
