"""What every policy is: a choice among eligible targets, from what is known, now and chance.

`Policy` is all that a policy must be. What it may be besides, its cluster looks for once:

    load_of(target)       what this policy wants to know of a target; default: `Load`
    joined(target)        the target became a candidate
    left(target)          it is not any more; a policy has both of them or neither
    key_from              where a request's key stands ("client", "header:NAME", "cookie:NAME");
    pick_keyed(key, ...)  then this one is asked instead of `pick`
    wants_probes(...)     whose load it would like to hear of now
    PARAMETERS            which parameters the configuration may give, and their limits

A policy that lacks one pays nothing for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from services.balancer.load import Load
from services.balancer.target import Target

T = TypeVar("T", bound=Target)


class Policy(Protocol):
    """Picks one of `candidates`, which are eligible and never empty. Nothing in it awaits.

    `now` is in seconds of the clock that the targets' loads were recorded with; `rng` is the only
    source of chance. A policy may keep state of its own (whose turn it is); what it wants to keep
    of a target is a `Load` of its own kind.
    """

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """One of the candidates."""
        ...


class Knowing(Protocol):
    """A policy that wants to know more of a target, or less, than `Load` does."""

    def load_of(self, target: Target) -> Load:
        """A new one, for a target that is new or unjudged."""
        ...


class Following(Protocol):
    """A policy that keeps an index of the candidates, so that a pick need not look at all."""

    def joined(self, target: Target) -> None:
        """`target` became a candidate: eligible, or in panic not draining."""
        ...

    def left(self, target: Target) -> None:
        """It is not any more: unhealthy, ejected, draining or gone, or the panic is over."""
        ...


class Keyed(Protocol):
    """A policy that goes by a key of the request."""

    key_from: str

    def pick_keyed(self, key: bytes, candidates: Sequence[T], now: float, rng: Random) -> T:
        """One of the candidates; the same for the same key as long as that is sensible."""
        ...


class Curious(Protocol):
    """A policy that asks for probes. Answers come back through `Load.reported`, when they do."""

    def wants_probes(self, candidates: Sequence[T], now: float, rng: Random) -> Sequence[T]:
        """Which of the eligible to probe now. How often it is asked, and how many of them are
        probed, is whoever asks to decide: after each request, or so many times a second."""
        ...
