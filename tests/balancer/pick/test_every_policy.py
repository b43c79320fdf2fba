"""One suite over every policy: what must hold whatever the rule is."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import PolicySpec
from services.balancer.messages import Health
from services.balancer.pick import POLICIES, build, problems
from services.balancer.pick.policy import Policy
from services.balancer.target import Target
from tests.balancer.made import cluster, picture, target

HERDS: Final = ("fastest", "lowest_cpu")  # which send all to one, on purpose
FAIR: Final = [name for name in POLICIES if name not in HERDS]
CONSTANT_COST: Final = ("round_robin", "random", "p2c", "peak_ewma")

every = pytest.mark.parametrize("name", POLICIES)
fair = pytest.mark.parametrize("name", FAIR)


def policy(name: str) -> Policy:
    return build(PolicySpec(name=name))


@st.composite
def known_targets(draw: st.DrawFn) -> list[Target]:
    """Up to twenty targets, each with any history."""
    made = []
    for number in range(draw(st.integers(1, 20))):
        one = target(number, pending=draw(st.integers(0, 5)))
        for _ in range(draw(st.integers(0, 3))):
            now = draw(st.floats(0, 100))
            draw(st.sampled_from([one.load.succeed, one.load.fail]))(draw(st.floats(0, 10)), now)
        if draw(st.booleans()):
            one.load.probed(
                draw(st.none() | st.floats(0, 10)),
                draw(st.none() | st.floats(0, 9)),
                draw(st.none() | st.floats(0, 1)),
                1.0,
                draw(st.none() | st.floats(0, 1)),
            )
        made.append(one)
    return made


@every
@given(targets=known_targets(), seed=st.integers(0, 100), now=st.floats(100, 200))
def test_picks_a_candidate_changes_none_and_repeats_itself(
    name: str, targets: list[Target], seed: int, now: float
) -> None:
    before = [(t.pending, t.load.peak.cost, t.load.peak.stamp, t.load.finished) for t in targets]
    first, again = policy(name), policy(name)
    rng, same = Random(seed), Random(seed)
    picks = [first.pick(targets, now, rng) for _ in range(10)]
    assert all(any(chosen is t for t in targets) for chosen in picks)
    assert [again.pick(targets, now, same) for _ in range(10)] == picks
    after = [(t.pending, t.load.peak.cost, t.load.peak.stamp, t.load.finished) for t in targets]
    assert after == before


@every
def test_one_target_gets_everything(name: str) -> None:
    one = target(0, pending=3)
    rule = policy(name)
    assert all(rule.pick([one], float(n), Random(n)) is one for n in range(20))


@every
def test_none_eligible_is_no_pick(name: str) -> None:
    made = cluster(name, 3)
    for number, health, draining in (
        (0, Health.UNHEALTHY, False),
        (1, Health.UNKNOWN, False),
        (2, Health.HEALTHY, True),
    ):
        made.upsert(picture(number, health=health, draining=draining), version=2)
    assert made.pick(0.0, Random(1)) is None
    assert cluster(name, 0).pick(0.0, Random(1)) is None


@every
def test_never_an_ineligible_target(name: str) -> None:
    """Half of the targets change their mind all the time; only open ones are picked."""
    made, rng = cluster(name, 20), Random(5)
    for step in range(2000):
        number = rng.randrange(20)
        made.upsert(
            picture(
                number,
                health=rng.choice([Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY]),
                draining=rng.random() < 0.2,
            ),
            version=2,
        )
        chosen = made.pick(step / 100, rng)
        if chosen is None:
            assert not made.eligible
            continue
        assert chosen.health is Health.HEALTHY
        assert not chosen.draining
        chosen.release()
        chosen.load.succeed(rng.random(), step / 100)


def drive(name: str, count: int, requests: int, *, at_once: int = 16, seed: int = 3) -> list[int]:
    """Requests per target when all answer alike: 10 ms each, `at_once` in flight."""
    made, rng, now = cluster(name, count), Random(seed), 0.0
    served: Counter[str] = Counter()
    flight: list[Target] = []
    for _ in range(requests):
        now += 0.010 / at_once
        if len(flight) >= at_once:
            done = flight.pop(0)
            done.release()
            done.load.succeed(0.010, now)
        chosen = made.pick(now, rng)
        assert chosen is not None
        served[chosen.id] += 1
        flight.append(chosen)
    return [served[t.id] for t in made.targets.values()]


@fair
@pytest.mark.parametrize("count", [2, 3, 10])
def test_equal_targets_get_equal_shares_within_a_factor_of_two(name: str, count: int) -> None:
    served = drive(name, count, 1000 * count)
    assert max(served) <= 2 * min(served), served


@fair
def test_thousands_of_targets_all_get_their_share(name: str) -> None:
    served = drive(name, 3000, 30_000, at_once=1000)
    assert sum(served) == 30_000
    assert sum(n > 0 for n in served) > 2900
    assert max(served) < 100


@fair
def test_the_same_seed_gives_the_same_traffic(name: str) -> None:
    assert drive(name, 5, 500, seed=11) == drive(name, 5, 500, seed=11)


@fair
def test_who_joins_is_found_and_who_leaves_is_left(name: str) -> None:
    made, rng, now = cluster(name, 4), Random(9), 0.0

    def send(requests: int) -> Counter[str]:
        nonlocal now
        served: Counter[str] = Counter()
        for _ in range(requests):
            now += 0.001
            chosen = made.pick(now, rng)
            assert chosen is not None
            served[chosen.id] += 1
            chosen.release()
            chosen.load.succeed(0.010, now)
        return served

    send(400)
    made.remove(picture(1).id)
    made.upsert(picture(4), version=1)
    made.upsert(picture(5), version=1)
    served = send(2000)
    assert picture(1).id not in served
    assert set(served) == {picture(n).id for n in (0, 2, 3, 4, 5)}
    assert max(served.values()) <= 2 * min(served.values())


@pytest.mark.parametrize("name", CONSTANT_COST)
def test_a_pick_costs_the_same_among_many(name: str) -> None:
    """A factor of 1.5 is the promise; 4 is what a busy machine cannot fake. O(n) would be 1000."""

    def cost_s(count: int) -> float:
        targets = [target(number % 100) for number in range(count)]
        rule, rng = policy(name), Random(1)
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            for _ in range(2000):
                rule.pick(targets, 1.0, rng)
            best = min(best, time.thread_time() - start)
        return best

    assert cost_s(10_000) < 4 * cost_s(10)


def test_mistakes_in_a_policy_are_named() -> None:
    assert problems(PolicySpec(name="p2c")) == []
    (unknown,) = problems(PolicySpec(name="round_robbin"))
    assert "did you mean 'round_robin'?" in unknown
    (parameter,) = problems(PolicySpec(name="p2c", params={"x": 1}))
    assert "no parameter 'x'" in parameter
    with pytest.raises(ValueError, match="no parameter"):
        build(PolicySpec(name="p2c", params={"x": 1}))
