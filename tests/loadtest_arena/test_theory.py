"""The simulator against queueing theory, where theory has one: within three standard errors."""

from __future__ import annotations

from math import factorial, sqrt
from statistics import fmean, stdev

import pytest

from loadtest.arena import (
    Antagonist,
    CentralQueue,
    Fixed,
    Group,
    LogNormal,
    Pareto,
    Scenario,
    Work,
    simulate,
)
from services.balancer.pick.random_choice import RandomChoice

SEEDS = range(8)


def means(
    scenario: Scenario, front: type[RandomChoice] | type[CentralQueue] = RandomChoice
) -> list[float]:
    return [simulate(scenario, front, seed).mean_s for seed in SEEDS]


def assert_near(measured: list[float], expected: float) -> None:
    error = stdev(measured) / sqrt(len(measured))
    assert fmean(measured) == pytest.approx(expected, abs=3 * error)
    assert error < 0.06 * expected  # or the line above holds nothing


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_core_shared(load: float) -> None:
    """M/M/1-PS: the mean time of a request is its mean work / (1 - load)."""
    scenario = Scenario(name="M/M/1-PS", machines=(Group(count=1),), load=load, requests=4_000)
    assert_near(means(scenario), 0.02 / (1 - load))


@pytest.mark.parametrize("work", [Pareto(shape=3.0), LogNormal(variation=1.5), Fixed()], ids=str)
def test_processor_sharing_is_insensitive(work: Work) -> None:
    """M/G/1-PS: the mean time depends on the mean work alone (Kleinrock, volume 2, 4.4)."""
    scenario = Scenario(
        name="M/G/1-PS", machines=(Group(count=1),), load=0.6, work=work, requests=4_000
    )
    assert_near(means(scenario), 0.02 / (1 - 0.6))


@pytest.mark.parametrize("machines", [Group(count=4), Group(count=1, cores=4, slots=4)], ids=str)
def test_one_queue_for_several_cores(machines: Group) -> None:
    """M/M/c, by Erlang's formula: as a central queue, and as one machine with slots."""
    scenario = Scenario(name="M/M/4", machines=(machines,), load=0.8, requests=4_000)
    front = CentralQueue if machines.count > 1 else RandomChoice
    busy, work_s = 4 * 0.8, 0.02
    terms = [busy**n / factorial(n) for n in range(4)]
    full = busy**4 / factorial(4) / (1 - 0.8)
    waits = full / (sum(terms) + full)
    assert_near(means(scenario, front), work_s + waits * work_s / (4 * (1 - 0.8)))


def test_a_neighbour_slows_by_what_it_takes() -> None:
    """M/M/1-PS on half a core is M/M/1-PS with work twice as long."""
    scenario = Scenario(
        name="half a core",
        machines=(Group(count=1),),
        load=0.6,
        requests=4_000,
        happenings=(Antagonist(count=1, factor=0.5),),
    )
    assert_near(means(scenario), 0.04 / (1 - 0.6))
