"""What the rooms of the local cloud share. Time is scaled: five minutes would fit no test.

Whatever moves by itself on AWS (boots, groups, hooks, alarms) is a `Step`: a function of the world
that is called again and again, looks at moto's backends, and moves what is due. No step blocks, and
none runs while the API answers a call: one lock is held around each call and each step.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from moto.backends import get_backend

ACCOUNT: Final = "123456789012"  # moto's


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script ended on a machine."""

    status: int
    output: str
    errors: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """What a machine is born with; all else it asks of its metadata service."""

    ident: str  # i-...
    type: str


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

    def console(self, ident: str) -> str:
        """The last lines of what the machine wrote to its console; empty when it is gone."""

    def give_address(self, ident: str, address: str) -> None:
        """The machine answers at this address, too."""

    def take_address(self, ident: str, address: str) -> None:
        """It does so no more. Gone already is fine."""

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


@dataclass(slots=True)
class Notices:
    """What the metadata service tells machines of their fate, by instance id."""

    lifecycle: dict[str, str] = field(default_factory=dict)  # InService, Terminated, ...
    spot: dict[str, Mapping[str, str]] = field(default_factory=dict)  # {"action", "time"}


@dataclass(slots=True, kw_only=True)
class World:
    """One local cloud."""

    machines: Machines
    clock: Clock
    region: str  # the only one whose things move by themselves
    report: Callable[[str], None]
    notices: Notices = field(default_factory=Notices)
    addresses: dict[str, str] = field(default_factory=dict)  # of every started machine, by id
    lock: threading.RLock = field(default_factory=threading.RLock)
    # For what takes longer than a step may: starting and ending machines, scripts on them.
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(8, "cloud"))

    def backend(self, service: str) -> Any:
        """moto's backend of a service, in this cloud's account and region."""
        find: Any = get_backend  # its overloads know literal names only
        return find(service)[ACCOUNT][self.region]


Step = Callable[[World], None]
