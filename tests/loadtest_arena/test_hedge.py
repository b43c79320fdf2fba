"""A second target for who waits too long: that it helps where it can, and what must always hold."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, sqrt
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loadtest.arena import (
    Antagonist,
    CentralQueue,
    Crash,
    Failing,
    Fixed,
    Group,
    Happening,
    Hedge,
    Pauses,
    Scenario,
    Simulation,
    simulate,
)
from loadtest.arena.events import NEVER_S
from loadtest.arena.hedge import ENOUGH, LEAST_S, PER_DOUBLING, Hedging, Latencies
from loadtest.arena.machine import Mode
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.random_choice import RandomChoice
from services.balancer.pick.round_robin import RoundRobin

TWO = Scenario(
    name="two machines",
    machines=(Group(count=2),),
    load=0.4,
    work=Fixed(0.01),
    requests=300,
    network_s=0.0005,
    hedge=Hedge(budget=1.0),
)
MANY = Scenario(
    name="many processes",
    machines=(Group(count=4), Group(count=4, cores=2)),
    load=0.7,
    requests=2_500,
    balancers=2,
    processes=2,
    network_s=0.0005,
    hedge=Hedge(after=0.8, budget=0.2),
)
FREEZES_S, THAWS_S = TWO.warmup_s + 1.0, TWO.warmup_s + 1.5


def hedging_of(simulation: Simulation) -> Hedging:
    assert simulation.hedging is not None
    return simulation.hedging


def frozen_for_a_while(scenario: Scenario) -> list[float]:
    """Latencies of requests to two machines in turn, of which one stands still for a while."""
    simulation = Simulation(scenario, RoundRobin, 1)
    machine = simulation.machines[0]
    simulation.events.at(FREEZES_S, lambda now, _: machine.set_speed(0.0, now))
    simulation.events.at(THAWS_S, lambda now, _: machine.set_speed(1.0, now))
    return list(simulation.run().latencies_s)


def test_who_waits_at_a_frozen_machine_is_answered_by_the_other() -> None:
    alone = frozen_for_a_while(replace(TWO, hedge=None))
    hedged = frozen_for_a_while(TWO)
    assert alone[-5] > 0.4  # some came soon after the freeze
    assert hedged[-1] < 0.2
    assert alone[len(alone) // 2] == hedged[len(hedged) // 2]  # who did not wait was left alone


def test_two_black_holes_of_four_swallow_a_sixth_instead_of_a_half() -> None:
    """By chance: a request meets one with 1/2, and then the other one with 1/3."""
    scenario = replace(
        TWO,
        machines=(Group(count=4),),
        requests=2_000,
        retries=0,
        deadline_s=1.0,
        hedge=Hedge(after=0.5, budget=1.0),
    )
    for hedge, expected in ((None, 1 / 2), (scenario.hedge, 1 / 6)):
        simulation = Simulation(replace(scenario, hedge=hedge), RandomChoice, 2)
        for machine in simulation.machines[:2]:
            machine.set_mode(Mode.HOLE)
        share = simulation.run().failed_share
        error = sqrt(expected * (1 - expected) / scenario.requests)
        assert share == pytest.approx(expected, abs=3 * error)


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.2])
def test_the_budget_is_kept_and_used(budget: float) -> None:
    scenario = replace(
        MANY, load=0.9, happenings=(Antagonist(count=2),), hedge=Hedge(after=0.5, budget=budget)
    )
    simulation = Simulation(scenario, LeastPending, 1)
    run = simulation.run()
    hedged = hedging_of(simulation).hedged
    assert sum(run.per_machine) == run.simulated + hedged
    assert 0.5 * budget * run.simulated <= hedged <= budget * run.simulated


def test_when_nobody_is_idle_nobody_is_sent_twice() -> None:
    """With requests pending everywhere all the time a rule for idle targets never applies."""
    full = replace(MANY, load=1.5, requests=1_500, balancers=1, processes=1)
    hedged = []
    for idle in (False, True):
        simulation = Simulation(
            replace(full, hedge=Hedge(after=0.8, budget=0.2, idle=idle)), LeastPending, 1
        )
        simulation.run()
        hedged.append(hedging_of(simulation).hedged)
    assert hedged[1] < 0.05 * hedged[0]


@pytest.mark.parametrize("network_s", [0.0, 0.0005])
@pytest.mark.parametrize(
    "happening",
    [
        Antagonist(count=2, every_s=0.5),
        Pauses(count=2, for_s=0.2, every_s=1.0),
        Failing(count=6, at_s=0.5, for_s=1.0),
        Crash(at_s=0.5, for_s=3.0),
        Crash(at_s=0.5, for_s=3.0, hole=True),
    ],
    ids=repr,
)
def test_every_request_ends_once_and_every_place_is_given_back(
    happening: Happening, network_s: float
) -> None:
    scenario = replace(MANY, happenings=(happening,), network_s=network_s)
    simulation = Simulation(scenario, LeastPending, 1)
    run = simulation.run()
    assert len(run.latencies_s) == scenario.requests
    assert hedging_of(simulation).hedged > 100
    assert {machine.pending for machine in simulation.machines} == {0}
    assert {machine.coming for machine in simulation.machines} == {0}
    views: Any = simulation.front
    for view in views.views:
        assert {target.own for target in view.cluster.targets.values()} == {0}


def test_the_loser_is_dropped_with_the_rest_of_its_work() -> None:
    """Nothing is done for nobody: without the budget's share of requests, all work is useful."""
    alone, hedged = (
        Simulation(replace(TWO, hedge=hedge), RandomChoice, 1)
        for hedge in (None, Hedge(after=0.5, budget=1.0))
    )
    assert alone.run().simulated == hedged.run().simulated
    tried = hedging_of(hedged).hedged
    useful_s = sum(machine.used_s for machine in alone.machines)
    done_s = sum(machine.used_s for machine in hedged.machines)
    assert useful_s < done_s < useful_s + 0.75 * tried * TWO.work.mean_s


def test_a_seed_has_one_answer() -> None:
    one, again = (simulate(MANY, LeastPending, 7) for _ in range(2))
    assert one.latencies_s.tobytes() == again.latencies_s.tobytes()
    assert one.latencies_s != simulate(replace(MANY, hedge=None), LeastPending, 7).latencies_s


@pytest.mark.parametrize("oracle", [None, CentralQueue])
def test_oracles_do_not_hedge(oracle: type[CentralQueue] | None) -> None:
    hedged, alone = (simulate(s, oracle, 1) for s in (MANY, replace(MANY, hedge=None)))
    assert hedged.latencies_s == alone.latencies_s


@example(seed=0, count=100, spread=1.0, share=0.010000000000000002)
@given(
    seed=st.integers(0, 1 << 32),
    count=st.integers(ENOUGH, 2 * ENOUGH),
    spread=st.floats(0.0, 2.0),
    share=st.floats(0.01, 0.99),
)
def test_a_percentile_is_right_to_a_bucket(
    seed: int, count: int, spread: float, share: float
) -> None:
    rng = Random(seed)
    samples = [rng.lognormvariate(-4.0, spread) for _ in range(count)]
    latencies = Latencies(share, window_s=5.0)
    for sample in samples:
        latencies.add(sample, 1.0)
    # 0.010000000000000002 of a hundred is the first or the second of them.
    rank, near = share * count, 1e-9 * count
    low, high = (sorted(samples)[ceil(at) - 1] for at in (rank - near, rank + near))
    found = latencies.quantile_s(1.0)
    assert low * (1 - 1e-9) <= found <= max(high * 2 ** (1 / PER_DOUBLING), LEAST_S) * (1 + 1e-9)


def test_few_answers_say_nothing_and_old_ones_are_forgotten() -> None:
    latencies = Latencies(0.95, window_s=5.0)
    for _ in range(ENOUGH - 1):
        latencies.add(2.0, 1.0)
    assert latencies.quantile_s(1.0) == NEVER_S
    latencies.add(2.0, 2.0)
    assert latencies.quantile_s(2.0) > 1.0
    for at_s in (6.0, 12.0):  # the stretch after, and the one after that
        for _ in range(ENOUGH):
            latencies.add(0.01, at_s)
        assert (latencies.quantile_s(at_s) > 1.0) == (at_s < 10.0)
