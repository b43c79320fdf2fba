"""A scenario and a seed, written out: which request comes when, what befalls which machine when.

It is read off the simulator itself, so that the live run and the simulated one cannot drift apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter
from typing import Final

from loadtest.arena.happenings import Antagonist, Failing, Pauses, Slowdown
from loadtest.arena.machine import Mode
from loadtest.arena.scenario import Scenario
from loadtest.arena.simulation import Simulation

ABLE: Final = (Antagonist, Slowdown, Pauses, Failing)  # what a worker can be told to suffer
STANDSTILL: Final = 0.001  # a worker's least speed; near enough to none


class NotLive(ValueError):
    """The scenario needs what real workers cannot be told to do; the message says what."""


@dataclass(frozen=True, slots=True)
class Change:
    """From `at_s` on a machine runs at `speed` times its own speed, or fails all it is asked."""

    at_s: float
    machine: int
    speed: float
    failing: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """One run. `requests` are (due, work) in seconds from its start; the first `warmup_s` are not
    measured."""

    requests: tuple[tuple[float, float], ...]
    changes: tuple[Change, ...]
    warmup_s: float


def schedule(scenario: Scenario, seed: int) -> Schedule:
    """Write it out. Raises NotLive."""
    _refuse(scenario)
    simulation = Simulation(scenario, None, seed)
    works = simulation.chance("work")
    requests = []
    left = scenario.requests
    for due_s in scenario.arrivals.times(scenario.rate, simulation.chance("arrivals")):
        left -= due_s >= scenario.warmup_s
        if left < 0:
            break
        requests.append((due_s, scenario.work.draw(works)))
    return Schedule(tuple(requests), tuple(_changes(simulation)), scenario.warmup_s)


def _changes(simulation: Simulation) -> list[Change]:
    """Let everything happen to machines that nobody asks for anything."""
    for happening in simulation.scenario.happenings:
        happening.start(simulation)
    heap = simulation.events.heap
    found = []
    known = dict.fromkeys((machine.index for machine in simulation.machines), (1.0, False))
    while heap and heap[0][0] < simulation.scenario.duration_s:
        at_s = heap[0][0]
        simulation.events.run_until(nextafter(at_s, inf))
        for machine in simulation.machines:
            speed = max(machine.speed / machine.nominal, STANDSTILL)
            now = (speed, machine.mode is Mode.FAILING)
            if now != known[machine.index]:
                known[machine.index] = now
                found.append(Change(at_s, machine.index, *now))
    return found


def _refuse(scenario: Scenario) -> None:
    unable = [type(each).__name__ for each in scenario.happenings if not isinstance(each, ABLE)]
    if unable:
        able = ", ".join(kind.__name__ for kind in ABLE)
        raise NotLive(f"{scenario.name}: {unable[0]} cannot be run live; {able} can")
    if any(group.slots is not None for group in scenario.machines):
        raise NotLive(f"{scenario.name}: a worker has no slots, it shares its cores")
    if scenario.balancers * scenario.processes != 1:
        raise NotLive(f"{scenario.name}: live there is one balancer with one process")
