"""What the live run does is what the simulator does, to the last digit."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from random import Random

import pytest

from loadtest.arena import Antagonist, Credits, Failing, Group, Scenario, Simulation
from loadtest.live.schedule import NotLive, schedule

SCENARIO = Scenario(
    name="small",
    machines=(Group(count=2), Group(count=2, cores=2)),
    load=0.5,
    requests=200,
    warmup_s=1.0,
    happenings=(Antagonist(count=0.25, factor=0.3, every_s=0.5),),
)


def test_the_same_requests_as_in_the_simulator() -> None:
    plan = schedule(SCENARIO, seed=7)
    simulation = Simulation(SCENARIO, None, seed=7)
    works = simulation.chance("work")
    times = SCENARIO.arrivals.times(SCENARIO.rate, simulation.chance("arrivals"))
    assert list(plan.requests) == [
        (at_s, SCENARIO.work.draw(works)) for at_s in islice(times, len(plan.requests))
    ]
    assert sum(due_s >= 1.0 for due_s, _ in plan.requests) == 200
    assert simulation.run().simulated == len(plan.requests)


def test_the_same_machines_slow_down_at_the_same_moments() -> None:
    plan = schedule(SCENARIO, seed=7)
    rng = Random("7 antagonist")  # as a simulation's `chance` makes it
    speeds = [1.0] * 4
    for turn in range(5):
        (slow,) = rng.sample(range(4), 1)
        for change in plan.changes:
            if change.at_s == turn * 0.5:
                speeds[change.machine] = change.speed
        assert speeds == [0.3 if machine == slow else 1.0 for machine in range(4)], turn


def test_a_machine_that_fails_is_told_to_fail() -> None:
    plan = schedule(replace(SCENARIO, happenings=(Failing(count=1, at_s=0.5),)), seed=1)
    (change,) = plan.changes
    assert (change.at_s, change.speed, change.failing) == (1.5, 1.0, True)


@pytest.mark.parametrize(
    ("scenario", "words"),
    [
        (replace(SCENARIO, happenings=(Credits(group=0),)), "Credits cannot be run live"),
        (replace(SCENARIO, machines=(Group(count=2, slots=1),)), "no slots"),
        (replace(SCENARIO, balancers=2), "one balancer"),
    ],
)
def test_what_cannot_be_run_live_is_refused(scenario: Scenario, words: str) -> None:
    with pytest.raises(NotLive, match=words):
        schedule(scenario, seed=1)
