"""What befalls the machines during a run. Chance comes from the run's seed, never from the policy,
so that every policy meets the same. Times count from the end of the warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from loadtest.arena.machine import Machine, Mode
from services.worker.machine import TYPES

if TYPE_CHECKING:
    from loadtest.arena.scenario import Scenario
    from loadtest.arena.simulation import Simulation


class Happening(Protocol):
    """Something that changes the machines while requests flow."""

    def start(self, simulation: Simulation) -> None:
        """Ask for whatever is to happen; called once, at time 0."""
        ...

    def lost_share(self, scenario: Scenario) -> float:
        """The share of the scenario's capacity that this takes away, on average over time."""
        ...


@dataclass(frozen=True, slots=True)
class Antagonist:
    """A noisy neighbour that moves: every `every_s` other `count` machines drop to `factor`.

    `count` may be a share of the machines when below 1.
    """

    count: float
    factor: float = 0.3
    every_s: float = 2.0

    def start(self, simulation: Simulation) -> None:
        rng = simulation.chance("antagonist")
        machines = simulation.at_start
        count = _how_many(self.count, len(machines))
        held: list[Machine] = []

        def move(now: float, _: None) -> None:
            for machine in held:
                machine.set_speed(machine.nominal, now)
            held[:] = rng.sample(machines, count)
            for machine in held:
                machine.set_speed(machine.nominal * self.factor, now)
            simulation.events.at(now + self.every_s, move)

        simulation.events.at(0.0, move)

    def lost_share(self, scenario: Scenario) -> float:
        return _how_many(self.count, scenario.size) / scenario.size * (1.0 - self.factor)


@dataclass(frozen=True, slots=True)
class Credits:
    """The machines of one group are of a burstable type and `balance_s` from the end of credits.

    The account (vCPU-seconds) earns the type's baseline all the time and pays for what is used;
    empty, the machine is held to the baseline until RESUME_S of it are saved. `load` is of what is
    left then.
    """

    group: int
    type: str = "t2.large"
    balance_s: float = 3.0
    tick_s: float = 0.1

    def start(self, simulation: Simulation) -> None:
        machines = simulation.groups[self.group]
        baseline = TYPES[self.type].baseline
        balances = [self.balance_s] * len(machines)
        used = [0.0] * len(machines)
        resume_s = 1.0

        def settle(now: float, _: None) -> None:
            for place, machine in enumerate(machines):
                machine.bring_up(now)
                earned = baseline * machine.provided
                balance = balances[place] + earned * self.tick_s - (machine.used_s - used[place])
                used[place] = machine.used_s
                balances[place] = max(balance, 0.0)
                if balance <= 1e-9:
                    machine.grant(earned, now)
                elif balance >= resume_s * earned:
                    machine.grant(machine.provided, now)
            simulation.events.at(now + self.tick_s, settle)

        simulation.events.at(self.tick_s, settle)

    def lost_share(self, scenario: Scenario) -> float:
        full = sum(group.capacity for group in scenario.machines)
        return scenario.machines[self.group].capacity * (1.0 - TYPES[self.type].baseline) / full


@dataclass(frozen=True, slots=True)
class Slowdown:
    """One machine of a group drops to `factor` at `at_s` and recovers `for_s` later."""

    group: int = 0
    at_s: float = 2.0
    for_s: float = 10.0
    factor: float = 0.3

    def start(self, simulation: Simulation) -> None:
        machine = simulation.groups[self.group][0]
        start_s = simulation.scenario.warmup_s + self.at_s

        def set_speed(now: float, speed: float) -> None:
            machine.set_speed(speed, now)

        simulation.events.at(start_s, set_speed, machine.nominal * self.factor)
        simulation.events.at(start_s + self.for_s, set_speed, machine.nominal)

    def lost_share(self, scenario: Scenario) -> float:
        return 0.0  # a moment, of a machine


@dataclass(frozen=True, slots=True)
class Pauses:
    """`count` machines, the same all along, stand still for `for_s` about every `every_s`.

    A collection of garbage, a migration of the virtual machine. `count` 0 means all machines.
    """

    count: float = 1
    for_s: float = 1.0
    every_s: float = 5.0

    def start(self, simulation: Simulation) -> None:
        rng = simulation.chance("pauses")
        machines = simulation.at_start

        def pause(now: float, machine: Machine) -> None:
            machine.set_speed(0.0, now)
            simulation.events.at(now + self.for_s, go_on, machine)

        def go_on(now: float, machine: Machine) -> None:
            machine.set_speed(machine.nominal, now)
            wait_s = (self.every_s - self.for_s) * (0.5 + rng.random())
            simulation.events.at(now + wait_s, pause, machine)

        for machine in rng.sample(machines, self._count(len(machines))):
            simulation.events.at(self.every_s * rng.random(), pause, machine)

    def lost_share(self, scenario: Scenario) -> float:
        return self._count(scenario.size) / scenario.size * self.for_s / self.every_s

    def _count(self, size: int) -> int:
        return _how_many(self.count, size) if self.count else size


@dataclass(frozen=True, slots=True)
class Failing:
    """`count` machines answer every request with 500 at once, while their health checks pass."""

    count: float = 1
    at_s: float = 1.0
    for_s: float = 1e9

    def start(self, simulation: Simulation) -> None:
        count = _how_many(self.count, len(simulation.at_start))
        machines = simulation.chance("failing").sample(simulation.at_start, count)
        start_s = simulation.scenario.warmup_s + self.at_s

        def turn(now: float, mode: Mode) -> None:
            for machine in machines:
                machine.set_mode(mode)

        simulation.events.at(start_s, turn, Mode.FAILING)
        simulation.events.at(start_s + self.for_s, turn, Mode.UP)

    def lost_share(self, scenario: Scenario) -> float:
        return _how_many(self.count, scenario.size) / scenario.size


def _how_many(count: float, size: int) -> int:
    return max(1, round(count * size)) if count < 1 else int(count)
