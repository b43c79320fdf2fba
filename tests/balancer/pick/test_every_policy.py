"""One suite over every policy: what must hold whatever the rule is."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from random import Random
from typing import Any, Final

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
# Without a key `consistent_hash` picks as `p2c` does, and its ring takes a second for so many.
CONSTANT_COST: Final = [name for name in POLICIES if name != "consistent_hash"]

every = pytest.mark.parametrize("name", POLICIES)
fair = pytest.mark.parametrize("name", FAIR)


def policy(name: str) -> Policy:
    return build(PolicySpec(name=name))


def known_targets(rule: Policy, count: int, rng: Random) -> list[Target]:
    """Targets, each with any history, as the given policy knows them."""
    return [known_target(rule, number, rng) for number in range(count)]


def known_target(rule: Policy, number: int, rng: Random) -> Target:
    one = target(number, pending=rng.randint(0, 5), policy=rule)
    now = 0.0
    for _ in range(rng.randint(0, 4)):
        latency_s = rng.choice([0.0, rng.uniform(0, 10)])
        one.load.begin(now)
        now += latency_s
        ended = rng.choice([one.load.succeed, one.load.fail, one.load.abandon, one.load.void])
        ended(latency_s, now)
        if rng.random() < 0.5:
            one.load.reported(rng.choice([None, rng.uniform(0, 9)]), rng.random(), None, now)
    if rng.random() < 0.5:
        latency = rng.choice([None, rng.uniform(0, 10)])
        one.load.probed(latency, rng.uniform(0, 9), rng.random(), now, rng.random())
    return one


@every
@given(count=st.integers(1, 20), seed=st.integers(0, 2**32), now=st.floats(100, 200))
def test_picks_a_candidate_changes_none_and_repeats_itself(
    name: str, count: int, seed: int, now: float
) -> None:
    def picks() -> list[int]:
        rule = policy(name)
        targets = known_targets(rule, count, Random(seed))
        before = [(t.pending, t.load.peak.cost, t.load.peak.stamp) for t in targets]
        rng = Random(seed)
        chosen = [rule.pick(targets, now, rng) for _ in range(10)]
        assert all(any(one is t for t in targets) for one in chosen)
        assert [(t.pending, t.load.peak.cost, t.load.peak.stamp) for t in targets] == before
        return [one.slot for one in chosen]

    assert picks() == picks()


@every
def test_one_target_gets_everything(name: str) -> None:
    rule = policy(name)
    one = target(0, pending=3, policy=rule)
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
    count = 3000 if name in CONSTANT_COST else 300
    served = drive(name, count, 10 * count, at_once=count // 3)
    assert sum(served) == 10 * count
    assert sum(n > 0 for n in served) > 0.96 * count
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
    """No more than that it does not look at all, which would be a factor of 1000.

    `loadtest.arena.picks` measures what it is; a busy machine can fake a factor of five.
    """

    def cost_s(count: int) -> float:
        rule, rng = policy(name), Random(1)
        targets = [target(number % 100, policy=rule) for number in range(count)]
        joined = getattr(rule, "joined", lambda _: None)
        for one in targets:
            joined(one)
        best = float("inf")
        for _ in range(5):
            start = time.thread_time()
            for _ in range(2000):
                rule.pick(targets, 1.0, rng)
            best = min(best, time.thread_time() - start)
        return best

    assert cost_s(10_000) < 50 * cost_s(10)


def test_mistakes_in_a_policy_are_named() -> None:
    assert problems(PolicySpec(name="p2c")) == []
    (unknown,) = problems(PolicySpec(name="round_robbin"))
    assert "did you mean 'round_robin'?" in unknown
    (parameter,) = problems(PolicySpec(name="p2c", params={"x": 1}))
    assert "no parameter 'x'" in parameter
    with pytest.raises(ValueError, match="no parameter"):
        build(PolicySpec(name="p2c", params={"x": 1}))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"window": 0}, "'window' must be 1 to 10000, is 0"),
        ({"window": 2.5}, "'window' must be a whole number, is 2.5"),
        ({"window": True}, "'window' must be a whole number, is True"),
        ({"failure_penalty_s": -1}, "'failure_penalty_s' must be 0 to 60, is -1"),
        ({"failure_penalty_s": float("nan")}, "'failure_penalty_s' must be 0 to 60, is nan"),
        ({"failure_penalty_s": "1"}, "'failure_penalty_s' must be a number, is '1'"),
    ],
)
def test_a_parameter_beyond_its_limits_is_a_problem(params: dict[str, Any], said: str) -> None:
    assert problems(PolicySpec(name="least_time", params=params)) == [said]


def test_all_mistakes_of_a_policy_are_named_at_once() -> None:
    spec = PolicySpec(name="least_time", params={"window": 0, "failure_penalty_s": 99, "x": 1})
    assert len(problems(spec)) == 3


@every
def test_the_configuration_can_give_what_the_policy_takes(name: str) -> None:
    """A parameter without limits cannot be given; limits without a parameter are of nothing."""
    make = POLICIES[name]
    takes = inspect.signature(make).parameters
    assert set(getattr(make, "PARAMETERS", {})) == set(takes)
    assert all(
        problems(PolicySpec(name=name, params={n: p.default})) == [] for n, p in takes.items()
    )
