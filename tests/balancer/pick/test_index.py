"""The index against looking at all."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.pick.index import Index
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.steelyard import LOOK_AT_ALL, Steelyard
from services.balancer.target import Target
from tests.balancer.made import cluster, picture, target

STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "drop", "up", "down", "take"]), st.integers(0, 9)),
    max_size=80,
)


@given(STEPS)
def test_the_cheapest_is_the_cheapest(steps: list[tuple[str, int]]) -> None:
    """Costs that rise are found out; costs that fall are told."""
    index, targets = Index(), [target(number) for number in range(10)]
    costs = {one: float(one.slot % 4 + 1) for one in targets}
    listed: set[Target] = set()
    for what, number in steps:
        one = targets[number]
        if what == "add" and one not in listed:
            listed.add(one)
            index.add(one, costs[one])
        elif what == "drop":
            listed.discard(one)
            index.drop(one)
        elif what == "up":
            costs[one] *= 1.5
        elif what == "down":
            costs[one] *= 0.5
            index.cheaper(one, costs[one])
        chosen = index.cheapest(lambda target, _: costs[target], 0.0)
        assert len(index) == len(listed)
        if not listed:
            assert chosen is None
            continue
        assert chosen in listed
        assert costs[chosen] <= min(costs[each] for each in listed) * (1 + 1e-6)
        if what == "take":
            costs[chosen] += 1.0


def test_the_index_does_not_grow_with_the_requests() -> None:
    index, one = Index(), target(0)
    index.add(one, 1.0)
    for _ in range(5000):
        index.cheaper(one, 1.0)
        assert index.cheapest(lambda _, __: 2.0, 0.0) is one
    assert len(index._heap) < 100


def test_a_cost_below_zero_has_an_end() -> None:
    index, one = Index(), target(0)
    index.add(one, -1.0)
    costs = iter([-1.0])  # asked again, there is no answer
    assert index.cheapest(lambda _, __: next(costs), 0.0) is one


def test_many_are_picked_among_as_if_all_were_looked_at() -> None:
    """The same traffic through an index and through a look at all ends at equal costs."""
    made, rng, now = cluster("steelyard", 3 * LOOK_AT_ALL), Random(4), 0.0
    rule = made.policy
    assert isinstance(rule, Steelyard)
    flight: list[tuple[float, Target, float]] = []
    for step in range(3000):
        now += 0.001
        flight.sort(key=lambda one: one[0])
        while flight and flight[0][0] <= now:
            end, done, began = flight.pop(0)
            done.release()
            done.load.succeed(end - began, end)
        costs = {one: rule.cost(one, now) for one in made.eligible}
        credit = rule._credit
        chosen = made.pick(now, rng)
        assert chosen is not None
        known = all(one.load.finished for one in made.eligible) and step > 1000
        if known and rule._credit > credit:  # else it was explored
            assert costs[chosen] <= min(costs.values()) * (1 + 1e-6)
        flight.append((now + rng.expovariate(1 / (0.02 + chosen.slot / 1000)), chosen, now))


@pytest.mark.parametrize("others", [False, True])
def test_least_pending_among_many_is_the_least(others: bool) -> None:
    """Exactly, by what this process ends; by what others end, soon."""
    row, other = [0] * 100, [0] * 100
    rule = LeastPending()
    targets = [
        Target(picture(number), limit=1000, own_row=row, siblings=(other,) if others else ())
        for number in range(100)
    ]
    for one in targets:
        one.load = rule.load_of(one)
        rule.joined(one)
    rng, flight = Random(3), list[Target]()
    for step in range(3000):
        if len(flight) > 150:
            done = flight.pop(rng.randrange(len(flight)))
            done.release()
            done.load.succeed(0.1, step / 100)
        chosen = rule.pick(targets, step / 100, rng)
        assert chosen.pending == min(one.pending for one in targets)
        assert chosen.claim()
        flight.append(chosen)
        if others and rng.random() < 0.1:
            other[rng.randrange(100)] += 1
    if others:
        quiet = targets[7]
        other[7] = -quiet.own  # as if the others had been most of it, and ended
        assert any(rule.pick(targets, 0.0, rng) is quiet for _ in range(1000))


def test_an_index_that_comes_into_use_knows_what_happened_before() -> None:
    made = cluster("steelyard", LOOK_AT_ALL)
    rule = made.policy
    assert isinstance(rule, Steelyard)
    for one in made.eligible:
        one.claim()
        one.load.begin(0.0)
        one.release()
        one.load.succeed(1.0 if one.slot else 0.001, 1.0 if one.slot else 0.001)
    before = rule.indexed
    made.upsert(picture(LOOK_AT_ALL), version=1)
    assert (before, rule.indexed) == (False, True)
    chosen = made.pick(1.0, Random(1))
    assert chosen is not None
    assert chosen.slot == 0
