"""A cluster against a plain model: who is eligible, and whom a pick may claim."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.balancer.cluster import Cluster
from services.balancer.ledger import ClusterCell
from services.balancer.messages import Health, TargetPicture
from services.balancer.pick import POLICIES
from services.balancer.target import Target
from tests.balancer.made import cluster, counts, picture

LIMIT = 3
PANICKING = ClusterCell.PANICKING
numbers = st.integers(0, 12)


class ClusterMachine(RuleBasedStateMachine):
    """Pictures and requests in any order; the model is the last picture of each target."""

    panic_percent = 0.0

    def __init__(self) -> None:
        super().__init__()
        self.rng = Random(7)
        self.cluster = cluster("p2c", 0, limit=LIMIT, panic_percent=self.panic_percent)
        self.model: dict[str, TargetPicture] = {}
        self.proven: set[str] = set()  # healthy at some time since it joined
        self.pending: list[Target] = []
        self.version = 1

    @rule(number=numbers, health=st.sampled_from(Health), draining=st.booleans())
    def see(self, number: int, health: Health, draining: bool) -> None:
        seen = picture(number, health=health, draining=draining)
        self.cluster.upsert(seen, self.version)
        self.model[seen.id] = seen
        if health is Health.HEALTHY:
            self.proven.add(seen.id)

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        gone = self.cluster.remove(picture(number).id)
        assert (gone is not None) is (self.model.pop(picture(number).id, None) is not None)
        self.proven.discard(picture(number).id)

    @rule(kept=st.sets(numbers))
    def full_picture(self, kept: set[int]) -> None:
        self.version += 1
        for number in kept:
            self.cluster.upsert(picture(number), self.version)
        gone = set(self.cluster.stale(self.version))
        for target_id in gone:
            self.cluster.remove(target_id)
        model = {picture(number).id: picture(number) for number in kept}
        assert gone == set(self.model) - set(model)
        self.model = model
        self.proven = set(model)

    @rule(tries=st.integers(0, 3))
    def request(self, tries: int) -> None:
        before = counts(self.cluster.candidates)
        tried = self.cluster.candidates[:tries]
        chosen = self.cluster.pick(0.0, self.rng, tried)
        room = {target_id for target_id, pending in before.items() if pending < LIMIT}
        if chosen is None:
            assert not room
            return
        assert chosen.id in room
        if chosen in tried:
            assert room <= {t.id for t in tried}
        assert chosen.pending == before[chosen.id] + 1
        self.pending.append(chosen)

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        if self.pending:
            place = data.draw(st.integers(0, len(self.pending) - 1))
            self.pending.pop(place).release()

    @invariant()
    def eligible_is_as_the_model_says(self) -> None:
        expected = {
            seen.id
            for seen in self.model.values()
            if seen.health is Health.HEALTHY and not seen.draining
        }
        ids = [t.id for t in self.cluster.eligible]
        assert len(ids) == len(set(ids))
        assert set(ids) == expected
        assert set(self.cluster.targets) == set(self.model)

    @invariant()
    def in_panic_all_that_are_not_draining_are_candidates(self) -> None:
        present = {seen.id for seen in self.model.values() if not seen.draining}
        others = present & self.proven or present
        panic = 100 * len(self.cluster.eligible) < self.panic_percent * len(others)
        candidates = {t.id for t in self.cluster.candidates}
        assert self.cluster.panicking is panic
        assert candidates == (others if panic else {t.id for t in self.cluster.eligible})


class PanicMachine(ClusterMachine):
    """The same with a threshold."""

    panic_percent = 50.0


TestCluster = ClusterMachine.TestCase
TestClusterThatPanics = PanicMachine.TestCase


def sick(count: int, of: int) -> Cluster[Target]:
    """A cluster whose first `count` targets have become unhealthy."""
    made = cluster("p2c", of, panic_percent=50.0)
    for number in range(count):
        made.upsert(picture(number, health=Health.UNHEALTHY), version=1)
    return made


def test_panic_begins_below_the_threshold_and_ends_at_it() -> None:
    made = sick(2, of=4)
    assert made.counts[PANICKING] == 0
    made.upsert(picture(2, health=Health.UNHEALTHY), version=1)
    assert made.counts[PANICKING] == 1
    assert repr(made) == "<Cluster c: 1 of 4 eligible, panic>"
    rng = Random(1)
    assert {t.id for _ in range(200) if (t := made.pick(0.0, rng))} == set(made.targets)
    made.upsert(picture(0), version=1)
    assert made.counts[PANICKING] == 0
    made.panic_percent = 75.0  # a reload
    made.settle()
    assert made.counts[PANICKING] == 1
    assert made.counts[ClusterCell.PANICS] == 2


def test_targets_that_still_boot_are_no_reason_to_panic() -> None:
    made = cluster("random", 1, panic_percent=50.0)
    for number, health in ((1, Health.UNKNOWN), (2, Health.UNHEALTHY), (3, Health.UNHEALTHY)):
        made.upsert(picture(number, health=health), version=1)
    assert made.counts[PANICKING] == 0
    made.upsert(picture(0, health=Health.UNHEALTHY), version=1)
    assert [t.id for t in made.candidates] == [picture(0).id]
    made.remove(picture(0).id)
    assert len(made.candidates) == 3, "nobody is known to have worked: any of them"


def test_a_draining_target_is_left_alone_even_in_panic() -> None:
    made = sick(3, of=3)
    made.upsert(picture(0, draining=True), version=1)
    rng = Random(1)
    picked = [made.pick(0.0, rng) for _ in range(50)]
    assert {t.id for t in picked if t} == {picture(1).id, picture(2).id}


def test_a_target_that_comes_back_with_another_slot_is_another() -> None:
    made = cluster("random", 1)
    (old,) = made.eligible
    old.claim()
    made.upsert(picture(0, slot=9), version=2)
    (new,) = made.eligible
    assert new is not old
    assert (new.slot, new.pending, old.pending) == (9, 0, 1)
    assert not old.claim()
    old.release()


@pytest.mark.parametrize("policy", POLICIES)
@given(tried=st.integers(0, 4), count=st.integers(1, 4), seed=st.integers(0, 1000))
def test_a_retry_goes_elsewhere_while_there_is_an_elsewhere(
    policy: str, tried: int, count: int, seed: int
) -> None:
    made = cluster(policy, count)
    before = made.eligible[:tried]
    chosen = made.pick(0.0, Random(seed), before)
    assert chosen is not None
    assert (chosen in before) is (tried >= count)


@pytest.mark.parametrize("policy", POLICIES)
def test_a_full_cluster_is_filled_to_the_last_place(policy: str) -> None:
    made = cluster(policy, 50, limit=2)
    rng = Random(1)
    picks = [made.pick(0.0, rng) for _ in range(101)]
    assert picks[-1] is None
    assert None not in picks[:-1]
    assert set(counts(made.eligible).values()) == {2}


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_goes_into_a_panic_and_out_of_it(policy: str) -> None:
    """Those that keep an index of the candidates pick among the right ones before and after."""
    made, rng = cluster(policy, 6, panic_percent=50.0), Random(3)
    for step in range(600):
        number = rng.randrange(6)
        health = rng.choice([Health.HEALTHY, Health.UNHEALTHY])
        made.upsert(picture(number, health=health, draining=rng.random() < 0.1), version=1)
        chosen = made.pick(step / 10, rng)
        if chosen is None:
            assert not made.candidates
            continue
        assert chosen in made.candidates
        chosen.release()
    assert made.counts[ClusterCell.PANICS] > 5


def test_a_new_weight_is_in_force_at_once() -> None:
    """Whether the policy looks at it or keeps it in an index."""
    made, rng = cluster("weighted_round_robin", 2), Random(1)

    def served() -> list[int]:
        picked = [made.pick(0.0, rng) for _ in range(400)]
        return [sum(t is not None and t.slot == slot for t in picked) for slot in (0, 1)]

    assert served() == [200, 200]
    made.upsert(msgspec.structs.replace(picture(1), weight=3), version=1)
    assert served() == pytest.approx([100, 300], abs=3)
    hashed = cluster("consistent_hash", 2)
    hashed.upsert(msgspec.structs.replace(picture(1), weight=9), version=1)
    keys = [hashed.pick_keyed(b"%d" % number, 0.0, rng) for number in range(400)]
    for target in keys:
        assert target is not None
        target.release()
    assert sum(t is not None and t.slot == 1 for t in keys) > 250
