"""The simulator against queueing theory, where theory has one: within three standard errors."""

from __future__ import annotations

from math import sqrt
from statistics import fmean, stdev

import pytest

from loadtest.arena import Group, Scenario, simulate
from services.balancer.pick.random_choice import RandomChoice

SEEDS = range(8)


def means(scenario: Scenario) -> list[float]:
    return [simulate(scenario, RandomChoice, seed).mean_s for seed in SEEDS]


def assert_near(measured: list[float], expected: float) -> None:
    error = stdev(measured) / sqrt(len(measured))
    assert fmean(measured) == pytest.approx(expected, abs=3 * error)
    assert error < 0.06 * expected  # or the line above holds nothing


@pytest.mark.parametrize("load", [0.5, 0.8])
def test_one_core_shared(load: float) -> None:
    """M/M/1-PS: the mean time of a request is its mean work / (1 - load)."""
    scenario = Scenario(name="M/M/1-PS", machines=(Group(count=1),), load=load, requests=4_000)
    assert_near(means(scenario), 0.02 / (1 - load))
