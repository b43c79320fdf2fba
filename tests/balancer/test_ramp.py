"""Slow start: Envoy's formula, and the share that a new target gets under every policy."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.cluster import Cluster
from services.balancer.config import SlowStart
from services.balancer.messages import Health
from services.balancer.pick import POLICIES
from services.balancer.ramp import share
from services.balancer.target import Target
from tests.balancer.made import cluster, picture

RULES = SlowStart(window_s=60.0)
HERDS = ("fastest", "lowest_cpu")


@pytest.mark.parametrize(
    ("age_s", "aggression", "expected"),
    [
        (0, 1, 0.1),
        (3, 1, 0.1),
        (30, 1, 0.5),
        (60, 1, 1.0),
        (90, 1, 1.0),
        (15, 2, 0.5),
        (30, 0.5, 0.25),
    ],
)
def test_the_formula(age_s: float, aggression: float, expected: float) -> None:
    """max(10 %, (age / window)^(1 / aggression))."""
    rules = SlowStart(window_s=60.0, aggression=aggression)
    assert share(age_s, rules) == pytest.approx(expected)


@given(st.floats(-1, 100), st.floats(-1, 100), st.floats(0.1, 10), st.floats(0, 100))
def test_the_share_only_rises(one: float, other: float, aggression: float, least: float) -> None:
    rules = SlowStart(window_s=60.0, aggression=aggression, min_percent=least)
    low, high = (share(age_s, rules) for age_s in sorted((one, other)))
    assert least / 100 <= low <= high <= 1.0


def started(policy: str, count: int = 4) -> Cluster[Target]:
    """A cluster that has run for long, with slow start."""
    made = cluster(policy, count)
    made.ramp.rules = RULES
    made.tick(1000.0)
    return made


def share_of(made: Cluster[Target], target_id: str, now: float, seed: int = 1) -> float:
    """Of requests that all end at once, so that nothing is ever pending."""
    served: Counter[str] = Counter()
    rng = Random(seed)
    for _ in range(2000):
        chosen = made.pick(now, rng)
        assert chosen is not None
        served[chosen.id] += 1
        chosen.load.succeed(0.01, now)
        chosen.release()
    return served[target_id] / served.total()


@pytest.mark.parametrize("policy", [name for name in POLICIES if name not in HERDS])
def test_a_new_target_gets_little_and_then_its_share(policy: str) -> None:
    made = started(policy)
    made.upsert(picture(9), version=1)
    new = picture(9).id
    assert share_of(made, new, 1000.0) < 0.08
    made.tick(1061.0)
    assert share_of(made, new, 1061.0) > 0.1


@pytest.mark.parametrize("policy", HERDS)
def test_one_that_all_would_go_to_gets_a_tenth(policy: str) -> None:
    made = started(policy)
    made.upsert(picture(9), version=1)
    new = made.targets[picture(9).id]
    for target in made.targets.values():
        best = target is new
        target.load.probed(0.001 if best else 0.1, 0.0, 0.1 if best else 0.9, 1000.0)
    assert 0.07 < share_of(made, new.id, 1000.0) < 0.13
    assert 0.4 < share_of(made, new.id, 1030.0) < 0.6


def test_who_returns_starts_slowly_too() -> None:
    made = started("random")
    made.upsert(picture(1, health=Health.UNHEALTHY), version=1)
    assert made.ramp.count == 0
    made.upsert(picture(1), version=1)
    assert share_of(made, picture(1).id, 1000.0) < 0.06
    made.upsert(picture(1, draining=True), version=1)
    assert made.ramp.count == 0


def test_where_most_are_new_nobody_is_spared() -> None:
    made = cluster("random", 0)
    made.ramp.rules = RULES
    made.tick(1000.0)
    for number in range(4):
        made.upsert(picture(number), version=1)
    assert made.ramp.count == 4
    for number in range(4):
        assert 0.2 < share_of(made, picture(number).id, 1000.0) < 0.3


def test_a_retry_goes_elsewhere_in_a_slow_start_too() -> None:
    made = started("random", 1)
    (old,) = made.eligible
    made.upsert(picture(9), version=1)
    rng = Random(1)
    for _ in range(50):
        chosen = made.pick(1000.0, rng, [old])
        assert chosen is not None
        assert chosen.id == picture(9).id


def test_off_is_off() -> None:
    made = cluster("random", 4)
    made.tick(1000.0)
    made.upsert(picture(9), version=1)
    assert made.ramp.count == 0
