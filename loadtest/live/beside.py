"""The very same requests and changes in the simulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from loadtest.arena.compare import ORACLE, Figures, one_run
from loadtest.arena.scenario import Scenario
from loadtest.live.contenders import simulated

Simulated = Mapping[str, tuple[Figures, ...]]  # by policy; a run for each round


def beside(scenario: Scenario, contenders: Sequence[str], seeds: Sequence[int]) -> Simulated:
    """Every contender's policy, and the oracle, on the seeds of the live rounds."""
    policies = dict.fromkeys((ORACLE, *map(simulated, contenders)))
    return {
        policy: tuple(one_run((scenario, policy, seed)) for seed in seeds) for policy in policies
    }
