"""Ejection: the rules one by one, and all of them against a model in any order of events."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.balancer.cluster import Cluster
from services.balancer.config import Ejection
from services.balancer.ejection import SLICE, Cause, Standing, may_eject, outliers
from services.balancer.messages import Health
from services.balancer.target import Target
from tests.balancer.made import cluster, picture

RULES = Ejection()


def fail(target: Target, now: float, *, times: int = 1, unreachable: bool = False) -> None:
    """Requests that end badly, as the observer reports them."""
    for _ in range(times):
        target.load.fail(0.001, now)
        target.failed(now, unreachable=unreachable)


def succeed(target: Target, now: float, *, times: int = 1) -> None:
    """Requests that end well."""
    for _ in range(times):
        target.load.succeed(0.001, now)
        target.failed_in_row = 0


def made(count: int, rules: Ejection = RULES) -> tuple[Cluster[Target], list[Target]]:
    """A cluster with its targets, whose first interval has begun at 0."""
    it = cluster("random", count, panic_percent=50.0)
    it.ejector.rules = rules
    it.ejector.tick(0.0)
    return it, list(it.targets.values())


def out(it: Cluster[Target]) -> list[str]:
    return [t.id for t in it.targets.values() if t.ejected]


# -- the rules -------------------------------------------------------------------------------------


def test_five_failures_in_a_row_eject_and_a_success_between_saves() -> None:
    it, (bad, shaky, *_) = made(4)
    for _ in range(10):
        fail(shaky, 1.0, times=4)
        succeed(shaky, 1.0)
    fail(bad, 1.0, times=4)
    assert out(it) == []
    fail(bad, 1.0)
    assert out(it) == [bad.id]
    assert bad not in it.eligible
    assert repr(bad) == f"<Target {bad.id} healthy, ejected, pending 0>"


def test_out_for_longer_each_time_up_to_the_ceiling() -> None:
    """Envoy: base time x count, at most max_ejection_time."""
    it, (bad, *_) = made(4)
    now, lengths = 0.0, []
    for _ in range(12):
        fail(bad, now, times=5)
        began = now
        while bad.ejected:
            now += 1.0
            it.ejector.tick(now)
        lengths.append(now - began)
    assert lengths == [30.0 * times for times in range(1, 11)] + [300.0, 300.0]


def test_intervals_spent_in_are_forgiven() -> None:
    it, (bad, *_) = made(4)
    fail(bad, 0.0, times=5)
    for second in range(200):  # back after 30 s, then many quiet intervals
        it.ejector.tick(float(second))
    fail(bad, 200.0, times=5)
    it.ejector.tick(229.0)
    assert bad.ejected
    it.ejector.tick(230.0)
    assert not bad.ejected


@pytest.mark.parametrize(
    ("targets", "percent", "most"),
    [(1, 10, 1), (4, 10, 1), (20, 10, 2), (29, 10, 2), (10, 50, 5), (10, 0, 0), (3, 100, 3)],
)
def test_only_so_many_are_out_at_once_but_one_always_may_be(
    targets: int, percent: float, most: int
) -> None:
    allowed = next(n for n in range(targets + 1) if not may_eject(n, targets, percent))
    assert allowed == most
    it, all_of_them = made(targets, Ejection(max_percent=percent))
    for target in all_of_them:
        fail(target, 1.0, times=50)
    assert len(out(it)) == it.ejector.ejected == most
    assert it.candidates, "someone is always left to ask"


def test_most_requests_failed() -> None:
    """Envoy: 85 %, of at least 50 requests, with 5 such targets."""
    good, bad = (50, 0), (50, 43)
    assert outliers([good] * 4 + [bad], Ejection(success_rate_sigmas=0)) == [
        (4, Cause.FAILURE_PERCENT)
    ]
    off = Ejection(success_rate_sigmas=0, failure_percent=0)
    for samples, rules in (
        ([good] * 4 + [(50, 42)], Ejection(success_rate_sigmas=0)),
        ([good] * 4 + [(49, 49)], Ejection(success_rate_sigmas=0)),
        ([good] * 3 + [bad], Ejection(success_rate_sigmas=0)),
        ([good] * 4 + [bad], off),
    ):
        assert outliers(samples, rules) == []


def test_a_success_rate_far_below_the_others() -> None:
    """Envoy: 1.9 standard deviations below the mean, of at least 100 requests."""
    good, bad = (100, 1), (100, 20)
    assert outliers([good] * 9 + [bad], RULES) == [(9, Cause.SUCCESS_RATE)]
    assert outliers([good] * 9 + [(99, 20)], RULES) == []
    assert outliers([(100, 20)] * 10, RULES) == [], "all alike: none stands out"
    spread = [(100, failures) for failures in range(10)]
    assert outliers(spread, RULES) == [], "the usual spread: none stands out"


@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), max_size=30),
    st.integers(1, 6),
)
def test_outliers_failed_and_come_worst_first(raw: list[tuple[int, int]], few: int) -> None:
    samples = [(requests, min(failures, requests)) for requests, failures in raw]
    found = outliers(samples, Ejection(min_targets=few))
    rates = [1 - samples[place][1] / samples[place][0] for place, _ in found]
    assert rates == sorted(rates)
    assert all(samples[place][1] > 0 for place, _ in found)
    assert len({place for place, _ in found}) == len(found)


def test_an_interval_is_judged_once_by_what_came_in_it() -> None:
    it, targets = made(10)
    for target in targets:
        succeed(target, 1.0, times=100)
    for _ in range(30):
        fail(targets[3], 1.0)
        succeed(targets[3], 1.0)
    it.ejector.tick(9.9)
    assert out(it) == []
    it.ejector.tick(10.0)  # looks
    it.ejector.tick(10.1)  # judges
    assert out(it) == [targets[3].id]
    it.ejector.tick(41.0)
    for tick in range(420, 700):
        it.ejector.tick(tick / 10)
    assert out(it) == [], "nothing new was seen of it"


def test_many_targets_are_looked_at_in_slices() -> None:
    it, targets = made(3 * SLICE)
    for target in targets:
        succeed(target, 1.0, times=50)
    fail(targets[700], 1.0)
    for _ in range(500):
        fail(targets[700], 1.0)
        succeed(targets[700], 1.0)
    for step in range(4):
        assert out(it) == []
        it.ejector.tick(10.0 + step / 10)
    assert out(it) == []
    targets[700].failures += 5000
    targets[700].load.finished += 5000
    for target in targets:
        succeed(target, 11.0, times=50)
    for step in range(5):
        it.ejector.tick(21.0 + step / 10)
    assert out(it) == [targets[700].id]


def test_back_to_health_is_a_pardon() -> None:
    """It was dead and is not: what the dead one did is no reason to wait for the other."""
    it, (dead, *_) = made(4)
    fail(dead, 1.0, times=5)
    it.upsert(picture(0, health=Health.UNHEALTHY), version=1)
    assert out(it) == [dead.id]
    it.upsert(picture(0), version=1)
    assert out(it) == []
    assert dead in it.eligible


def test_in_a_panic_one_that_takes_no_connection_is_out_at_once() -> None:
    it, (dead, gone, *_) = made(4)
    for number in range(3):
        it.upsert(picture(number, health=Health.UNHEALTHY), version=1)
    assert it.panicking
    fail(dead, 1.0, unreachable=True)
    fail(gone, 1.0, unreachable=True)
    assert out(it) == [dead.id, gone.id]
    assert {t.id for t in it.candidates} == {picture(2).id, picture(3).id}


def test_one_that_leaves_is_forgotten() -> None:
    it, (bad, *_) = made(4)
    fail(bad, 1.0, times=5)
    it.remove(bad.id)
    fail(bad, 1.0, times=50)  # what was still pending there
    assert it.ejector.ejected == 0
    it.upsert(picture(0), version=1)
    assert out(it) == []


def test_a_standing_says_what_it_is() -> None:
    standing = Standing()
    assert repr(standing) == "<Standing 0 x, in>"
    standing.eject(RULES, 5.0)
    assert repr(standing) == "<Standing 1 x, out until 35>"


# -- all together ----------------------------------------------------------------------------------


class EjectionMachine(RuleBasedStateMachine):
    """Requests, checks, arrivals and time in any order."""

    RULES = Ejection(
        failure_percent_requests=5, success_rate_requests=5, min_targets=3, max_percent=40
    )

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.it, _ = made(6, self.RULES)
        self.failed: set[str] = set()
        self.since: dict[str, float] = {}

    def target(self, number: int) -> Target | None:
        return self.it.targets.get(picture(number).id)

    @rule(number=st.integers(0, 7), times=st.integers(1, 12))
    def fails(self, number: int, times: int) -> None:
        target = self.target(number)
        if target is not None:
            before = self.it.ejector.ejected
            fail(target, self.now, times=times)
            self.failed.add(target.id)
            self.within_the_ceiling(before)

    @rule(number=st.integers(0, 7), times=st.integers(1, 12))
    def succeeds(self, number: int, times: int) -> None:
        target = self.target(number)
        if target is not None:
            succeed(target, self.now, times=times)

    @rule(number=st.integers(0, 7), health=st.sampled_from(Health), draining=st.booleans())
    def is_seen(self, number: int, health: Health, draining: bool) -> None:
        self.it.upsert(picture(number, health=health, draining=draining), version=1)

    @rule(number=st.integers(0, 7))
    def leaves(self, number: int) -> None:
        self.it.remove(picture(number).id)
        self.failed.discard(picture(number).id)

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 30.0, 300.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        before = self.it.ejector.ejected
        self.it.ejector.tick(self.now)
        self.within_the_ceiling(before)

    @precondition(lambda self: self.it.targets)
    @rule()
    def all_is_well_for_long(self) -> None:
        for _ in range(40):
            self.now += 10.0
            self.it.ejector.tick(self.now)
            for target in self.it.targets.values():
                succeed(target, self.now)
        assert out(self.it) == []

    def within_the_ceiling(self, before: int) -> None:
        present = sum(not t.draining for t in self.it.targets.values())
        if self.it.ejector.ejected > before:
            assert self.it.ejector.ejected <= max(1, present * 40 // 100)

    @invariant()
    def the_count_is_right_and_only_who_failed_is_out(self) -> None:
        assert len(out(self.it)) == self.it.ejector.ejected
        assert set(out(self.it)) <= self.failed

    @invariant()
    def no_one_is_out_for_longer_than_the_ceiling(self) -> None:
        for target in self.it.targets.values():
            if not target.ejected:
                self.since.pop(target.id, None)
            elif self.since.setdefault(target.id, self.now) < self.now:
                assert self.now - self.since[target.id] < self.RULES.max_s + 300.0

    @invariant()
    def who_is_out_is_not_eligible(self) -> None:
        assert not any(t.ejected for t in self.it.eligible)
        if any(not t.draining for t in self.it.targets.values()):
            assert self.it.candidates


TestEjection = EjectionMachine.TestCase
TestEjection.settings = settings(max_examples=40, stateful_step_count=30)
