"""Whole runs: the same seed has the same answer, and every request is accounted for."""

from __future__ import annotations

import pytest

from loadtest.arena import Antagonist, Group, Scenario, Simulation, compare, simulate, tables
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.peak_ewma import PeakEwmaP2C
from services.balancer.pick.steelyard import Steelyard

UNEQUAL = Scenario(
    name="1:2, antagonist",
    machines=(Group(count=4), Group(count=4, cores=2)),
    load=0.7,
    happenings=(Antagonist(count=2),),
    requests=1_500,
    warmup_s=1.0,
    balancers=2,
    processes=2,
    network_s=0.0005,
)


@pytest.mark.parametrize("policy", [PeakEwmaP2C, LeastPending, None])
def test_a_seed_has_one_answer(policy: type[PeakEwmaP2C] | None) -> None:
    one, again = (simulate(UNEQUAL, policy, 7) for _ in range(2))
    assert one.latencies_s.tobytes() == again.latencies_s.tobytes()
    assert one.latencies_s != simulate(UNEQUAL, policy, 8).latencies_s


def test_all_measured_requests_are_counted_and_nothing_stays_pending() -> None:
    simulation = Simulation(UNEQUAL, LeastPending, 3)
    run = simulation.run()
    assert len(run.latencies_s) == UNEQUAL.requests
    assert run.simulated == sum(run.per_machine) > UNEQUAL.requests
    assert [machine.pending for machine in simulation.machines] == [0] * 8
    views = simulation.front.views  # type: ignore[attr-defined] # of balancers, not of the oracle
    assert len(views) == 4
    assert {t.own for view in views for t in view.cluster.targets.values()} == {0}


def test_policies_meet_the_same_requests() -> None:
    one, other = (simulate(UNEQUAL, policy, 1) for policy in (LeastPending, PeakEwmaP2C))
    assert one.simulated == other.simulated
    assert one.latencies_s != other.latencies_s


def test_of_targets_that_only_wait_none_gets_more_than_twice_as_much_as_another() -> None:
    """They answer alike whatever is pending, so the fullest looks the fastest."""
    waiting = Scenario(
        name="waiting", machines=(Group(count=8, cores=100),), load=0.2, requests=15_000
    )
    placed = simulate(waiting, Steelyard, 1).per_machine
    assert max(placed) < 2 * min(placed)


def test_who_knows_more_does_better_and_the_table_says_so() -> None:
    (cell,) = compare([UNEQUAL], ["random", "least_pending"], seeds=range(3))
    text = tables([cell]).splitlines()
    names = [line.split()[1] for line in text[4:]]
    assert names == ["oracle", "central_queue", "least_pending", "random"]
    assert 1.0 < cell.ratio("least_pending").value < cell.ratio("random").low
