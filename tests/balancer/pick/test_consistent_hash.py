"""The ring: the same key to the same target, few moves, no target above its bound."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from services.balancer.config import PolicySpec
from services.balancer.pick import build, problems
from services.balancer.pick.consistent_hash import ConsistentHash
from services.balancer.target import Target
from tests.balancer.made import cluster, picture, target

KEYS = [b"user-%d" % number for number in range(3000)]


def ring(count: int, **params: float) -> tuple[ConsistentHash, list[Target]]:
    rule = build(PolicySpec(name="consistent_hash", params={"bound": 100.0, **params}))
    assert isinstance(rule, ConsistentHash)
    targets = [target(number, policy=rule) for number in range(count)]
    for one in targets:
        rule.joined(one)
    return rule, targets


def where(rule: ConsistentHash, targets: list[Target]) -> dict[bytes, str]:
    return {key: rule.pick_keyed(key, targets, 0.0, Random(0)).id for key in KEYS}


def test_every_balancer_sends_a_key_to_the_same_target() -> None:
    rule, targets = ring(7)
    other, others = ring(7)
    others.reverse()
    assert where(rule, targets) == where(other, others)
    unaware = ConsistentHash(bound=100.0)  # nobody told it who is eligible
    assert unaware.pick_keyed(KEYS[0], targets, 0.0, Random(0)).id == where(rule, targets)[KEYS[0]]


def test_keys_are_spread_by_weight() -> None:
    rule = ConsistentHash(bound=100.0)
    targets = [target(number) for number in range(4)]
    targets[0].weight = 3
    for one in targets:
        rule.joined(one)
    served = Counter(where(rule, targets).values())
    light = [served[one.id] for one in targets[1:]]
    assert max(light) < 2 * min(light)
    assert served[targets[0].id] == pytest.approx(len(KEYS) / 2, rel=0.3)


def test_who_leaves_moves_its_own_keys_and_gets_them_back() -> None:
    rule, targets = ring(10)
    before = where(rule, targets)
    gone = targets.pop(3)
    rule.left(gone)
    after = where(rule, targets)
    assert all(after[key] == before[key] for key in KEYS if before[key] != gone.id)
    assert gone.id not in after.values()
    rule.joined(gone)
    assert where(rule, [*targets, gone]) == before
    rule.left(targets[0])
    rule.joined(targets[0])
    assert where(rule, [*targets, gone]) == before


def test_a_target_left_out_of_one_pick_gives_way_to_its_next() -> None:
    """A retry: as if it were gone, and for nobody else."""
    rule, targets = ring(10)
    before = where(rule, targets)
    out = next(one for one in targets if one.id == before[KEYS[0]])
    rest = [one for one in targets if one is not out]
    chosen = rule.pick_keyed(KEYS[0], rest, 0.0, Random(0)).id
    rule.left(out)
    assert where(rule, rest)[KEYS[0]] == chosen


def test_one_hot_key_is_held_to_the_bound() -> None:
    made = cluster("consistent_hash", 8)
    rng = Random(1)
    for _ in range(800):
        assert made.pick_keyed(b"hot", 0.0, rng) is not None
        pending = [one.pending for one in made.eligible]
        assert max(pending) <= -(-5 * sum(pending) // 32)  # ceil(1.25 x mean)
    for one in made.eligible:
        while one.pending:
            one.release()
            one.load.succeed(0.1, 1.0)
    assert isinstance(made.policy, ConsistentHash)
    assert made.policy.pending == 0


def test_all_ends_give_the_place_back() -> None:
    made = cluster("consistent_hash", 1)
    assert isinstance(made.policy, ConsistentHash)
    for end in ("succeed", "fail", "abandon", "void"):
        chosen = made.pick_keyed(b"k", 0.0, Random(1))
        assert chosen is not None
        assert made.policy.pending == 1
        getattr(chosen.load, end)(0.1, 0.1)
        assert made.policy.pending == 0
    (one,) = made.eligible
    assert type(one.load.fresh()) is type(one.load)


def test_a_request_without_a_key_goes_by_load() -> None:
    made = cluster("consistent_hash", 2)
    served = Counter(made.pick_keyed(b"", 0.0, Random(n)) for n in range(100))
    assert set(served.values()) == {50}


def test_a_full_target_is_passed_over() -> None:
    made = cluster("consistent_hash", 3, limit=5)
    made.follow(ConsistentHash(bound=100.0), PolicySpec(name="consistent_hash"))
    chosen = [made.pick_keyed(b"hot", 0.0, Random(1)) for _ in range(15)]
    assert set(Counter(chosen).values()) == {5}
    assert made.pick_keyed(b"hot", 0.0, Random(1)) is None
    made.remove(picture(0).id)
    assert made.pick_keyed(b"hot", 0.0, Random(1)) is None


@pytest.mark.parametrize("key", ["", "header", "header:", "header:a b", "cookie:a;b", "path"])
def test_where_the_key_stands_is_checked(key: str) -> None:
    (fault,) = problems(PolicySpec(name="consistent_hash", params={"key": key}))
    assert "must be client, header:NAME or cookie:NAME" in fault
