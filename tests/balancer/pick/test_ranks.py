"""Policies that follow their targets choose as those that look at all of them."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.config import PolicySpec
from services.balancer.pick import build
from services.balancer.pick.least_time import LOOK_AT_ALL, LeastTime, cost
from services.balancer.pick.ranks import Ranks
from services.balancer.target import Target
from tests.balancer.made import target

TARGETS = [target(number) for number in range(6)]
changes = st.lists(st.tuples(st.integers(0, 5), st.one_of(st.none(), st.integers(0, 3))))


@settings(max_examples=40)
@given(changes)
def test_ranks_are_what_a_look_at_all_finds(changes: list[tuple[int, int | None]]) -> None:
    """A change: a target gets a number, or loses it."""
    ranks, plain = Ranks(), dict[Target, int]()
    for who, number in changes:
        one = TARGETS[who]
        if number is None:
            ranks.drop(one)
            plain.pop(one, None)
        else:
            ranks.put(one, number)
            plain[one] = number
        lowest = {t for t, n in plain.items() if n == min(plain.values())}
        assert set(ranks.lowest()) == lowest
        assert (len(ranks), ranks.numbers) == (len(plain), len(set(plain.values())))
        assert [t in ranks for t in TARGETS] == [t in plain for t in TARGETS]


def test_numbers_that_nobody_has_are_cleared_away() -> None:
    ranks = Ranks()
    ranks.put(TARGETS[0], -1.0)
    for number in range(10_000):
        ranks.put(TARGETS[1], number)
    assert len(ranks._heap) < 100
    assert ranks.lowest() == [TARGETS[0]]


@pytest.mark.parametrize("name", ["fastest", "lowest_cpu"])
@settings(max_examples=25)
@given(
    words=st.lists(
        st.tuples(
            st.integers(0, 5),
            st.one_of(st.none(), st.sampled_from((0.1, 0.2, 0.3))),
            st.booleans(),
        )
    )
)
def test_who_is_told_chooses_among_the_same(
    name: str, words: list[tuple[int, float | None, bool]]
) -> None:
    """A word: a probe's latency and CPU, or a report, or the target leaves or comes back."""
    rule, unaware = build(PolicySpec(name=name)), build(PolicySpec(name=name))
    made = [target(number, policy=rule) for number in range(6)]
    members = set(made)
    for one in made:
        rule.joined(one)  # type: ignore[attr-defined] # both follow
    for who, value, joins in words:
        one = made[who]
        one.load.probed(value, None, value, now=1.0)
        if joins is (one in members):
            one.load.reported(None, None, value, now=1.0)
        elif joins:
            members.add(one)
            rule.joined(one)  # type: ignore[attr-defined] # as above
        elif len(members) > 1:
            members.remove(one)
            rule.left(one)  # type: ignore[attr-defined] # as above
        among = [one for one in made if one in members]
        draws = [Random(seed) for seed in range(40)]
        told = {rule.pick(among, 1.0, rng) for rng in draws}
        assert told == {unaware.pick(among, 1.0, Random(seed)) for seed in range(40)}


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_least_time_among_many_finds_the_cheapest(seed: int) -> None:
    rng, rule = Random(seed), LeastTime(window=3)
    made = [target(number, policy=rule) for number in range(2 * LOOK_AT_ALL)]
    for one in made:
        rule.joined(one)
    assert rule.indexed
    pending: list[Target] = []
    for step in range(200):
        now = float(step)
        chosen = rule.pick(made, now, rng)
        assert cost(chosen, now) <= min(cost(one, now) for one in made) * (1 + 1e-6)
        chosen.claim()
        pending.append(chosen)
        if len(pending) > 30:
            done = pending.pop(rng.randrange(30))
            done.release()
            end = rng.choice([done.load.succeed, done.load.fail, done.load.void, done.load.abandon])
            end(rng.uniform(0.01, 3.0), now)
