"""What the rooms of the local cloud share. Time is scaled: five minutes would fit no test.

Whatever moves by itself on AWS (boots, groups, hooks, alarms) is a `Step`: a function of the world
that is called again and again, looks at moto's backends, and moves what is due. No step blocks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

ACCOUNT = "123456789012"  # moto's


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script ended on a machine."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a machine is born with. `user_data` is plain text."""

    ident: str  # i-...
    region: str
    type: str
    user_data: str
    tags: Mapping[str, str]
    role: str | None  # whose credentials its metadata service gives


class Machines(Protocol):
    """The containers that are instances. All calls are safe from any thread.

    Errors:
        EngineError: the container engine refused.
    """

    def start(self, birth: Birth) -> str:
        """Start a machine; its private address. Its boot goes on after the return."""

    def running(self) -> Mapping[str, str]:
        """Address by id, of those whose container runs now."""

    def end(self, ident: str) -> None:
        """Power off, wait a little for a clean stop, remove. Gone already is fine."""

    def run(self, ident: str, script: str, timeout_s: float) -> Ran:
        """A shell script on a machine, as root."""

    def cpu_s(self) -> Mapping[str, float]:
        """Seconds of CPU that each running machine has used since its start."""


@dataclass(slots=True)
class Clock:
    """Cloud time runs `scale` times as fast as the wall clock, from the same instant."""

    scale: float = 1.0
    wall: Callable[[], float] = time.time
    begun: float = field(default_factory=time.time)

    def now(self) -> float:
        """Cloud time, seconds since the epoch."""
        return self.begun + (self.wall() - self.begun) * self.scale


@dataclass(slots=True, kw_only=True)
class World:
    """One local cloud."""

    machines: Machines
    clock: Clock
    region: str  # the only one whose things move by themselves
    report: Callable[[str], None]


Step = Callable[[World], None]
