"""What befalls machines, each seen by its effect, and by what must hold whatever happens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from loadtest.arena import (
    Antagonist,
    CentralQueue,
    Crash,
    Credits,
    Deploy,
    Failing,
    Group,
    Happening,
    Pauses,
    ScaleOut,
    Scenario,
    Simulation,
    Slowdown,
)
from services.balancer.pick.least_pending import LeastPending

CALM = Scenario(
    name="calm",
    machines=(Group(count=2), Group(count=2, cores=2)),
    load=0.6,
    requests=800,
    warmup_s=0.5,
    network_s=0.0005,
)
ALL = (
    Antagonist(count=0.25, every_s=0.5),
    Credits(group=0, balance_s=0.5),
    Slowdown(at_s=0.5, for_s=1.0),
    Pauses(for_s=0.2, every_s=1.0),
    Failing(at_s=0.5, for_s=1.0),
    Crash(at_s=0.5, for_s=3.0),
    Crash(at_s=0.5, for_s=3.0, hole=True),
    ScaleOut(at_s=1.0, cold_s=0.5),
    Deploy(at_s=0.5, for_s=3.0),
)


@pytest.mark.parametrize("front", [LeastPending, CentralQueue, None], ids=str)
@pytest.mark.parametrize("happening", ALL, ids=repr)
def test_every_request_ends_once_and_nothing_stays(
    happening: Happening, front: type[LeastPending] | type[CentralQueue] | None
) -> None:
    simulation = Simulation(replace(CALM, happenings=(happening,)), front, 1)
    run = simulation.run()
    assert len(run.latencies_s) == CALM.requests
    assert {machine.pending for machine in simulation.machines} == {0}
    assert {machine.coming for machine in simulation.machines} == {0}
    assert run.failed <= 8


def test_credits_run_out_and_hold_the_machine_to_its_baseline() -> None:
    credits = Credits(group=0, type="t2.large", balance_s=0.5)
    simulation = Simulation(replace(CALM, load=1.5, happenings=(credits,)), LeastPending, 1)
    simulation.run()
    assert [machine.cores for machine in simulation.machines] == [0.3, 0.3, 2, 2]


def test_a_deploy_replaces_everyone() -> None:
    simulation = Simulation(replace(CALM, happenings=(Deploy(0.1, 2.0),)), LeastPending, 1)
    simulation.run()
    (view,) = simulation.front.views  # type: ignore[attr-defined] # of balancers, not of the oracle
    assert {target.slot for target in view.cluster.eligible} == {4, 5, 6, 7}


def test_what_a_crash_takes_is_tried_elsewhere_or_failed() -> None:
    crash = Crash(at_s=0.5, for_s=3.0)
    without = replace(CALM, happenings=(crash,), retries=0)
    assert Simulation(without, LeastPending, 1).run().failed > 100  # the dead one looks idle
    assert Simulation(replace(without, retries=1), LeastPending, 1).run().failed == 0
