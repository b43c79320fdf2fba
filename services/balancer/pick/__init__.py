"""Policies: candidates + what is known + now + rng -> one target. Pure; one file each.

`POLICIES` is the table of names that the configuration may use; `build` makes one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final

from services.balancer.config import PolicySpec
from services.balancer.pick.fastest import Fastest
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.lowest_cpu import LowestCpu
from services.balancer.pick.p2c import PowerOfTwoChoices
from services.balancer.pick.peak_ewma import PeakEwmaP2C
from services.balancer.pick.policy import Policy
from services.balancer.pick.random_choice import RandomChoice
from services.balancer.pick.round_robin import RoundRobin

POLICIES: Final[dict[str, Callable[..., Policy]]] = {
    "round_robin": RoundRobin,
    "random": RandomChoice,
    "least_pending": LeastPending,
    "p2c": PowerOfTwoChoices,
    "peak_ewma": PeakEwmaP2C,
    "fastest": Fastest,
    "lowest_cpu": LowestCpu,
}


def problems(spec: PolicySpec) -> list[str]:
    """What is wrong with a policy as configured; empty when it can be built."""
    make = POLICIES.get(spec.name)
    if make is None:
        close = get_close_matches(spec.name, POLICIES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return [f"unknown policy {spec.name!r}; {hint}there are {', '.join(POLICIES)}"]
    known = inspect.signature(make).parameters
    return [
        f"policy {spec.name!r} has no parameter {name!r}"
        + (f"; it has {', '.join(known)}" if known else "; it takes none")
        for name in spec.params
        if name not in known
    ]


def build(spec: PolicySpec) -> Policy:
    """A new policy object; raises ValueError when `problems` would name any."""
    found = problems(spec)
    if found:
        raise ValueError("; ".join(found))
    return POLICIES[spec.name](**spec.params)
