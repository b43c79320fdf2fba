"""Which faults strike, in which order, on which target: the seed alone decides."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random


class Kind(enum.Enum):
    """What can go wrong, or is done on purpose while requests flow."""

    TARGET_KILL = "target kill -9"
    TARGET_STOP = "target SIGSTOP"
    RESETS = "resets"
    GARBAGE = "garbage"
    TRICKLE = "trickle"
    TARGET_RESTART = "target restart"
    DATAPLANE_KILL = "data plane kill -9"
    CONTROL_KILL = "control plane kill -9"
    RELOAD = "reloads"
    DRAIN = "drain"
    DESCRIPTORS = "descriptors"
    UPGRADE = "upgrade"


@dataclass(frozen=True, slots=True)
class Fault:
    """One strike. `victim` is an index among the targets (or processes, by remainder).

    `variant` chooses among the ways of doing it: an even one spares health checks, say.
    """

    kind: Kind
    victim: int
    variant: int

    def __str__(self) -> str:
        return f"{self.kind.value} ({self.victim}.{self.variant})"


def faults(seed: int, targets: int, kinds: tuple[Kind, ...] = tuple(Kind)) -> Iterator[Fault]:
    """Without end: every kind once in random order, then again in another order."""
    rng = Random(seed)
    while True:
        deck = list(kinds)
        rng.shuffle(deck)
        for kind in deck:
            yield Fault(kind, rng.randrange(targets), rng.randrange(4))
