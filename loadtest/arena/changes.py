"""Machines that come and go, and how long balancers take to notice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from loadtest.arena.machine import Machine, Mode
from loadtest.arena.scenario import Group
from services.balancer.messages import Health

if TYPE_CHECKING:
    from loadtest.arena.scenario import Scenario
    from loadtest.arena.simulation import Simulation

CHECK_S: Final = 2.0  # of health checks; two failures in a row, or one success, turn a target
COLD_FACTOR: Final = 0.3  # of its speed, while caches fill and code is compiled


@dataclass(frozen=True, slots=True)
class Crash:
    """One machine's process dies at `at_s` with all that it had in hand, and returns.

    Connections are refused until then. Balancers notice by health checks: each after two of its
    own, and the return at its next.
    """

    at_s: float = 2.0
    for_s: float = 6.0
    hole: bool = False  # requests are taken and never answered, instead

    def start(self, simulation: Simulation) -> None:
        rng = simulation.chance("crash")
        machine = rng.choice(simulation.at_start)
        start_s = simulation.scenario.warmup_s + self.at_s

        def die(now: float, _: None) -> None:
            machine.set_mode(Mode.HOLE if self.hole else Mode.REFUSING)
            if not self.hole:
                simulation.lose(machine, now)

        def come_back(now: float, _: None) -> None:
            machine.set_mode(Mode.UP)

        simulation.events.at(start_s, die)
        simulation.events.at(start_s + self.for_s, come_back)
        for balancer in range(simulation.scenario.balancers):
            late_s = rng.random() * CHECK_S
            notice(simulation, start_s + CHECK_S + late_s, machine, Health.UNHEALTHY, balancer)
            notice(simulation, start_s + self.for_s + late_s, machine, Health.HEALTHY, balancer)

    def lost_share(self, scenario: Scenario) -> float:
        return 0.0  # a moment, of a machine


def notice(
    simulation: Simulation, at_s: float, machine: Machine, health: Health, balancer: int
) -> None:
    """One balancer's control plane sees `machine` as `health` from `at_s` on."""

    def see(now: float, _: None) -> None:
        simulation.front.see(machine, health, draining=False, now=now, balancer=balancer)

    simulation.events.at(at_s, see)


@dataclass(frozen=True, slots=True)
class ScaleOut:
    """At `at_s` machines are added, `share` of each group, cold for their first `cold_s`."""

    at_s: float = 3.0
    share: float = 0.5
    cold_s: float = 3.0

    def added(self, scenario: Scenario) -> tuple[Group, ...]:
        """What is to be added."""
        return tuple(
            replace(g, count=max(1, round(g.count * self.share))) for g in scenario.machines
        )

    def start(self, simulation: Simulation) -> None:
        def come(now: float, machine: Machine) -> None:
            join(simulation, machine, self.cold_s, now)

        at_s = simulation.scenario.warmup_s + self.at_s
        for machine in simulation.extras[self]:
            simulation.events.at(at_s, come, machine)

    def lost_share(self, scenario: Scenario) -> float:
        return 0.0  # load is of what was there before


@dataclass(frozen=True, slots=True)
class Deploy:
    """From `at_s` on, each machine is replaced by a new one, one at a time, over `for_s`.

    The new one joins, cold, a moment before the old one drains.
    """

    at_s: float = 1.0
    for_s: float = 16.0
    cold_s: float = 1.0
    overlap_s: float = 0.5

    def added(self, scenario: Scenario) -> tuple[Group, ...]:
        """One for each."""
        return scenario.machines

    def start(self, simulation: Simulation) -> None:
        def come(now: float, machine: Machine) -> None:
            join(simulation, machine, self.cold_s, now)

        def go(now: float, machine: Machine) -> None:
            simulation.front.see(machine, Health.HEALTHY, draining=True, now=now)

        at_s = simulation.scenario.warmup_s + self.at_s
        pairs = list(zip(simulation.at_start, simulation.extras[self], strict=True))
        simulation.chance("deploy").shuffle(pairs)
        for place, (old, new) in enumerate(pairs):
            turn_s = at_s + place * self.for_s / len(pairs)
            simulation.events.at(turn_s, come, new)
            simulation.events.at(turn_s + self.overlap_s, go, old)

    def lost_share(self, scenario: Scenario) -> float:
        return 0.0  # a cold machine's lack is less than the overlap gives


def join(simulation: Simulation, machine: Machine, cold_s: float, now: float) -> None:
    """A new machine is healthy from now on, and warm `cold_s` later."""

    def warm(at_s: float, _: None) -> None:
        machine.set_speed(machine.nominal, at_s)

    machine.set_mode(Mode.UP)
    machine.set_speed(machine.nominal * COLD_FACTOR, now)
    simulation.front.see(machine, Health.HEALTHY, draining=False, now=now)
    simulation.events.at(now + cold_s, warm)
