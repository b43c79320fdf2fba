"""A cluster against a plain model: who is eligible, and whom a pick may claim."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.balancer.messages import Health, TargetPicture
from services.balancer.pick import POLICIES
from services.balancer.target import Target
from tests.balancer.made import cluster, counts, picture

LIMIT = 3
numbers = st.integers(0, 12)


class ClusterMachine(RuleBasedStateMachine):
    """Pictures and requests in any order; the model is the last picture of each target."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = Random(7)
        self.cluster = cluster("p2c", 0, limit=LIMIT)
        self.model: dict[str, TargetPicture] = {}
        self.pending: list[Target] = []
        self.version = 1

    @rule(number=numbers, health=st.sampled_from(Health), draining=st.booleans())
    def see(self, number: int, health: Health, draining: bool) -> None:
        seen = picture(number, health=health, draining=draining)
        self.cluster.upsert(seen, self.version)
        self.model[seen.id] = seen

    @rule(number=numbers)
    def leave(self, number: int) -> None:
        gone = self.cluster.remove(picture(number).id)
        assert (gone is not None) is (self.model.pop(picture(number).id, None) is not None)

    @rule(kept=st.sets(numbers))
    def full_picture(self, kept: set[int]) -> None:
        self.version += 1
        for number in kept:
            self.cluster.upsert(picture(number), self.version)
        gone = {t.id for t in self.cluster.sweep(self.version)}
        model = {picture(number).id: picture(number) for number in kept}
        assert gone == set(self.model) - set(model)
        self.model = model

    @rule(tries=st.integers(0, 3))
    def request(self, tries: int) -> None:
        before = counts(self.cluster.eligible)
        tried = self.cluster.eligible[:tries]
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


TestCluster = ClusterMachine.TestCase


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
