"""What befalls the machines during a run. Chance comes from the run's seed, never from the policy,
so that every policy meets the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from loadtest.arena.scenario import Scenario
    from loadtest.arena.simulation import Simulation


class Happening(Protocol):
    """Something that changes the machines while requests flow."""

    def start(self, simulation: Simulation) -> None:
        """Ask for whatever is to happen; called once, at time 0."""
        ...

    def lost_share(self, scenario: Scenario) -> float:
        """The share of the scenario's capacity that this takes away on average."""
        ...


@dataclass(frozen=True, slots=True)
class Antagonist:
    """A noisy neighbour that moves: every `every_s` other `count` machines drop to `factor`."""

    count: int
    factor: float = 0.3
    every_s: float = 2.0

    def start(self, simulation: Simulation) -> None:
        rng = simulation.chance("antagonist")
        machines = simulation.machines
        held: list[int] = []

        def move(now: float, _: None) -> None:
            for index in held:
                machines[index].set_speed(machines[index].nominal, now)
            held[:] = rng.sample(range(len(machines)), self.count)
            for index in held:
                machines[index].set_speed(machines[index].nominal * self.factor, now)
            simulation.events.at(now + self.every_s, move)

        simulation.events.at(0.0, move)

    def lost_share(self, scenario: Scenario) -> float:
        return self.count / scenario.size * (1.0 - self.factor)
