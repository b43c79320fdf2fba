"""Policies: candidates + what is known + now + rng -> one target. Pure; one file each.

    policy        what every policy is, and what it may be besides
    parameters    what the configuration may give to one
    own           a user's, imported by name
    (one file a policy)

`POLICIES` is the table of names that the configuration may use; `build` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from services.balancer.config import PolicySpec
from services.balancer.pick import own
from services.balancer.pick.consistent_hash import ConsistentHash
from services.balancer.pick.fastest import Fastest
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.least_time import LeastTime
from services.balancer.pick.lowest_cpu import LowestCpu
from services.balancer.pick.p2c import PowerOfTwoChoices
from services.balancer.pick.parameters import Parameter
from services.balancer.pick.peak_ewma import PeakEwmaP2C
from services.balancer.pick.policy import Policy
from services.balancer.pick.prequal import Prequal
from services.balancer.pick.random_choice import RandomChoice
from services.balancer.pick.round_robin import RoundRobin
from services.balancer.pick.steelyard import Steelyard
from services.balancer.pick.weighted_round_robin import WeightedRoundRobin

POLICIES: Final[dict[str, Callable[..., Policy]]] = {
    "round_robin": RoundRobin,
    "weighted_round_robin": WeightedRoundRobin,
    "random": RandomChoice,
    "least_pending": LeastPending,
    "p2c": PowerOfTwoChoices,
    "peak_ewma": PeakEwmaP2C,
    "least_time": LeastTime,
    "prequal": Prequal,
    "consistent_hash": ConsistentHash,
    "fastest": Fastest,
    "lowest_cpu": LowestCpu,
    "steelyard": Steelyard,
}


def problems(spec: PolicySpec) -> list[str]:
    """What is wrong with a policy as configured; empty when it can be built."""
    if own.is_own(spec.name):
        try:
            own.make(spec.name, spec.params)
        except ValueError as error:
            return [str(error)]
        return []
    make = POLICIES.get(spec.name)
    if make is None:
        close = get_close_matches(spec.name, POLICIES, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return [f"unknown policy {spec.name!r}; {hint}there are {', '.join(POLICIES)}"]
    known: Mapping[str, Parameter] = getattr(make, "PARAMETERS", {})
    return [fault for item in spec.params.items() if (fault := _fault(spec.name, known, *item))]


def _fault(policy: str, known: Mapping[str, Parameter], name: str, value: Any) -> str | None:
    parameter = known.get(name)
    if parameter is None:
        has = f"it has {', '.join(known)}" if known else "it takes none"
        return f"policy {policy!r} has no parameter {name!r}; {has}"
    fault = parameter.fault(value)
    return f"{name!r} {fault}" if fault else None


def build(spec: PolicySpec) -> Policy:
    """A new policy object; raises ValueError when `problems` would name any."""
    found = problems(spec)
    if found:
        raise ValueError("; ".join(found))
    if own.is_own(spec.name):
        return own.make(spec.name, spec.params)
    return POLICIES[spec.name](**spec.params)
