"""Balancers that use a part of the machines each, in the simulation as in front of real ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial

from loadtest.arena import Deploy, Group, ScaleOut, Scenario, Simulation, simulate
from loadtest.arena.arcs import Arcs
from loadtest.arena.fronts import Balancers
from services.balancer.config import PolicySpec
from services.balancer.messages import Health
from services.balancer.pick import build

STEELYARD = partial(build, PolicySpec(name="steelyard"))
SCENARIO = Scenario(
    name="arcs",
    machines=(Group(count=12),),
    load=0.6,
    requests=600,
    warmup_s=0.0,
    balancers=4,
    processes=2,
    subset=5,
)


def used(simulation: Simulation) -> list[set[int]]:
    """By view, the machines that it may choose."""
    assert isinstance(simulation.front, Balancers)
    return [{target.slot for target in view.cluster.candidates} for view in simulation.front.views]


def test_every_machine_is_used_by_equally_many_balancers() -> None:
    found = used(Simulation(SCENARIO, STEELYARD, seed=1))
    assert found[0::2] == found[1::2]  # processes of one balancer have the same
    assert [len(each) for each in found[0::2]] == [6] * 4
    assert Counter(machine for each in found[0::2] for machine in each) == dict.fromkeys(
        range(12), 2
    )


def test_arcs_follow_machines_that_come_and_go() -> None:
    lasts_s = 3_000 / SCENARIO.rate
    deploy = Deploy(at_s=0.1 * lasts_s, for_s=0.5 * lasts_s, cold_s=0.1)
    scenario = replace(SCENARIO, happenings=(deploy,), requests=3_000)
    simulation = Simulation(scenario, STEELYARD, seed=2)
    before = used(simulation)
    run = simulation.run()
    after = used(simulation)
    there = set(range(12, 24))  # each of the first twelve was replaced
    assert [machines & there for machines in before] == [set()] * 8
    arcs = Arcs(5, 4, sorted(there))
    assert [set(arc) for arc in arcs.of] == after[0::2]
    assert run.failed_share == 0.0
    assert all(run.per_machine)


def test_a_machine_may_leave_an_arc_before_its_balancer_has_heard_of_it() -> None:
    """Balancers discover new machines one after the other, and each new one cuts all arcs anew."""
    scale_out = ScaleOut(at_s=0.05, share=1.0, cold_s=0.1)
    simulation = Simulation(replace(SCENARIO, happenings=(scale_out,)), STEELYARD, seed=4)
    for balancer in range(SCENARIO.balancers):
        for machine in simulation.machines[12:]:
            see = simulation.front.see
            see(machine, Health.HEALTHY, draining=False, now=0.0, balancer=balancer)
    assert [set(arc) for arc in Arcs(5, 4, range(24)).of] == used(simulation)[0::2]


def test_all_of_them_is_as_if_there_were_no_arcs() -> None:
    whole = simulate(replace(SCENARIO, subset=12), STEELYARD, seed=3)
    plain = simulate(replace(SCENARIO, subset=0), STEELYARD, seed=3)
    part = simulate(SCENARIO, STEELYARD, seed=3)
    assert whole.percentile(0.99) == plain.percentile(0.99) != part.percentile(0.99)


def test_saying_it_twice_changes_nothing() -> None:
    arcs = Arcs(2, 3, range(6))
    before = list(arcs.of)
    arcs.change(5, there=True)
    arcs.change(6, there=False)
    assert arcs.of == before
    arcs.change(5, there=False)
    assert all(5 not in arc for arc in arcs.of)
    arcs.change(5, there=True)
    assert arcs.of == before
