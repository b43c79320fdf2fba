"""What each policy is in particular, against numbers worked out by hand."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.load import FAILURE_PENALTY_S, NEVER_S, Load, PeakEwma, WindowMean
from services.balancer.pick.fastest import Fastest
from services.balancer.pick.least_pending import LeastPending
from services.balancer.pick.least_time import LeastTime
from services.balancer.pick.lowest_cpu import LowestCpu
from services.balancer.pick.p2c import PowerOfTwoChoices, draw_two
from services.balancer.pick.peak_ewma import NO_HISTORY_COST_S, PeakEwmaP2C, cost
from services.balancer.pick.random_choice import RandomChoice
from services.balancer.pick.round_robin import RoundRobin
from services.balancer.pick.weighted_round_robin import WeightedRoundRobin
from services.balancer.target import Target
from tests.balancer.made import target

# -- the estimate ----------------------------------------------------------------------------------


def test_peak_ewma_by_hand() -> None:
    """tau 10 s: up at once; down by e^-1 of the distance in ten seconds."""
    peak = PeakEwma(tau_s=10.0)
    assert peak.read(0.0) == 0.0
    peak.observe(0.100, now=0.0)
    assert peak.read(0.0) == 0.100
    peak.observe(0.020, now=10.0)  # 0.1 * e^-1 + 0.02 * (1 - e^-1)
    assert peak.cost == pytest.approx(0.0494303553, abs=1e-9)
    peak.observe(0.300, now=11.0)
    assert peak.cost == 0.300
    assert peak.read(21.0) == pytest.approx(0.1103638324, abs=1e-9)  # 0.3 * e^-1
    assert peak.read(21.0) == peak.read(21.0)  # reading changes nothing


def test_a_sample_at_the_same_moment_changes_nothing_downwards() -> None:
    peak = PeakEwma()
    peak.observe(1.0, now=5.0)
    peak.observe(0.5, now=5.0)  # w = 1
    assert peak.cost == 1.0


@given(st.lists(st.tuples(st.floats(1e-6, 60), st.floats(0, 100)), min_size=1, max_size=30))
def test_the_estimate_stays_within_what_was_seen(samples: list[tuple[float, float]]) -> None:
    peak, now = PeakEwma(), 0.0
    for rtt_s, wait_s in samples:
        now += wait_s
        peak.observe(rtt_s, now)
        assert peak.cost >= rtt_s * (1 - 1e-9)  # never below the newest: the peak
    highest = max(rtt_s for rtt_s, _ in samples)
    assert peak.cost <= highest * (1 + 1e-9)
    assert peak.read(now + 10.0) == pytest.approx(peak.cost * exp(-1.0))


def test_a_fast_failure_does_not_look_fast() -> None:
    load = Load()
    load.fail(0.001, now=1.0)
    assert load.peak.read(1.0) == FAILURE_PENALTY_S
    load.fail(7.0, now=1.0)
    assert load.peak.read(1.0) == 7.0
    assert load.finished == 2


def test_a_failed_probe_is_infinitely_slow() -> None:
    load = Load()
    load.probed(0.2, 3.0, 0.5, now=1.0)
    assert (load.probe_latency_s, load.reported_pending, load.cpu) == (0.2, 3.0, 0.5)
    load.probed(None, None, None, now=2.0)
    assert (load.probe_latency_s, load.probe_at) == (NEVER_S, 2.0)


# -- the rules -------------------------------------------------------------------------------------


def test_peak_ewma_cost_by_hand() -> None:
    one = target(0)
    assert cost(one, 0.0) == 0.0  # unknown and idle: try it
    one.claim()
    assert cost(one, 0.0) == NO_HISTORY_COST_S + 1  # unknown and busy: wait for word
    one.load.succeed(0.050, now=0.0)
    assert cost(one, 0.0) == pytest.approx(0.100)  # 50 ms x (1 pending + 1)
    assert cost(one, 10.0) == pytest.approx(0.100 * exp(-1))


def test_peak_ewma_takes_the_cheaper_of_two() -> None:
    slow, fast = target(0), target(1, pending=2)
    slow.load.succeed(0.100, now=0.0)  # 0.1 x 1
    fast.load.succeed(0.030, now=0.0)  # 0.03 x 3
    rule = PeakEwmaP2C()
    assert all(rule.pick([slow, fast], 0.0, Random(n)) is fast for n in range(20))
    fast.claim()  # 0.03 x 4
    assert all(rule.pick([slow, fast], 0.0, Random(n)) is slow for n in range(20))


def test_p2c_takes_the_less_pending_of_two_whatever_the_order() -> None:
    busy, idle = target(0, pending=2), target(1, pending=1)
    rule = PowerOfTwoChoices()
    for targets in permutations([busy, idle]):
        assert all(rule.pick(targets, 0.0, Random(n)) is idle for n in range(20))


def test_p2c_never_picks_the_most_pending() -> None:
    targets = [target(n, pending=n) for n in range(5)]
    rng, rule = Random(1), PowerOfTwoChoices()
    served = Counter(rule.pick(targets, 0.0, rng).id for _ in range(20_000))
    # With distinct counts rank k of n wins when the other draw ranks above: 2(n-1-k) / (n(n-1)).
    expected = [2 * (4 - k) / 20 for k in range(5)]
    shares = [served[t.id] / 20_000 for t in targets]
    assert shares == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_two_draws_are_different_and_every_pair_is_as_likely(count: int) -> None:
    targets = [target(n) for n in range(count)]
    rng, pairs = Random(2), Counter[tuple[int, int]]()
    draws = 4000 * count
    for _ in range(draws):
        one, other = draw_two(targets, rng)
        assert one is not other
        pairs[one.slot, other.slot] += 1
    expected = draws / (count * (count - 1))
    assert len(pairs) == count * (count - 1)
    assert all(abs(n - expected) < 0.25 * expected for n in pairs.values())


def test_least_pending_takes_the_fewest_and_spreads_ties() -> None:
    targets = [target(0, pending=2), target(1, pending=1), target(2, pending=3)]
    rule = LeastPending()
    assert all(rule.pick(targets, 0.0, Random(n)) is targets[1] for n in range(20))
    level = [target(n, pending=1) for n in range(4)]
    rng = Random(3)
    served = Counter(rule.pick(level, 0.0, rng).id for _ in range(4000))
    assert len(served) == 4
    assert max(served.values()) < 1.3 * min(served.values())


def test_round_robin_goes_round() -> None:
    targets = [target(n) for n in range(3)]
    rule = RoundRobin()
    assert [rule.pick(targets, 0.0, Random(0)).slot for _ in range(7)] == [0, 1, 2, 0, 1, 2, 0]
    # One fewer: the turn goes on.
    assert [rule.pick(targets[:2], 0.0, Random(0)).slot for _ in range(3)] == [1, 0, 1]


def test_random_is_uniform() -> None:
    targets = [target(n, pending=n) for n in range(4)]
    rng = Random(4)
    served = Counter(RandomChoice().pick(targets, 0.0, rng).id for _ in range(8000))
    assert all(abs(n - 2000) < 200 for n in served.values())


def test_fastest_follows_the_last_probe_with_everything() -> None:
    targets = [target(n) for n in range(3)]
    rule = Fastest()
    assert {rule.pick(targets, 0.0, Random(n)).slot for n in range(50)} == {0, 1, 2}  # none probed
    for one, latency_s in zip(targets, (0.3, 0.1, 0.2), strict=True):
        one.load.probed(latency_s, None, None, now=0.0)
    assert {rule.pick(targets, 0.0, Random(n)).slot for n in range(50)} == {1}
    targets[1].load.probed(None, None, None, now=1.0)
    assert {rule.pick(targets, 0.0, Random(n)).slot for n in range(50)} == {2}


def test_lowest_cpu_takes_the_idlest_and_spreads_ties() -> None:
    targets = [target(n) for n in range(4)]
    rule = LowestCpu()
    assert {rule.pick(targets, 0.0, Random(n)).slot for n in range(50)} == {0, 1, 2, 3}  # unknown
    for one, cpu in zip(targets, (0.9, 0.2, 0.7, 0.2), strict=True):
        one.load.probed(0.1, None, cpu, now=0.0)
    rng = Random(3)
    served = Counter(rule.pick(targets, 0.0, rng).slot for _ in range(4000))
    assert set(served) == {1, 3}
    assert max(served.values()) < 1.2 * min(served.values())


def test_lowest_cpu_believes_cloudwatch_before_the_target() -> None:
    """Minutes old, and shown as it is: that is what the rule is here for."""
    one, other = target(0), target(1)
    one.load.probed(0.1, None, 0.1, now=0.0, cloudwatch_cpu=0.8)
    other.load.probed(0.1, None, 0.5, now=0.0)
    rule = LowestCpu()
    assert all(rule.pick([one, other], 0.0, Random(n)) is other for n in range(20))
    one.load.probed(0.1, None, 0.1, now=1.0)  # CloudWatch has nothing on it any more
    assert all(rule.pick([one, other], 1.0, Random(n)) is one for n in range(20))


def test_lowest_cpu_takes_an_unknown_target_for_an_average_one() -> None:
    known, unknown = [target(0), target(1)], target(2)
    for one, cpu in zip(known, (0.2, 0.6), strict=True):
        one.load.probed(0.1, None, cpu, now=0.0)
    rule = LowestCpu()
    assert all(rule.pick([*known, unknown], 0.0, Random(n)) is known[0] for n in range(20))
    # Alone with its like it is as good as they are.
    assert {rule.pick([known[1], unknown], 0.0, Random(n)).slot for n in range(50)} == {1, 2}


# -- weighted round robin --------------------------------------------------------------------------


def weighted(*weights: int) -> list[Target]:
    made = [target(number) for number in range(len(weights))]
    for one, weight in zip(made, weights, strict=True):
        one.weight = weight
    return made


def test_weighted_round_robin_spreads_the_heavy_one_over_the_round() -> None:
    """As smooth as nginx's a a b a c a a: never more than the heavy one's share in a row."""
    targets, rule = weighted(5, 1, 1), WeightedRoundRobin()
    turns = "".join("abc"[rule.pick(targets, 0.0, Random(0)).slot] for _ in range(14))
    assert turns == "aaabcaaaaabcaa"
    halves = weighted(2, 1)
    rule = WeightedRoundRobin()
    turns = "".join("ab"[rule.pick(halves, 0.0, Random(0)).slot] for _ in range(9))
    assert turns == "abaabaaba"


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.booleans())
def test_weighted_round_robin_is_exact_over_each_round(weights: list[int], told: bool) -> None:
    targets, rule = weighted(*weights), WeightedRoundRobin()
    if told:  # who is eligible: then it keeps a heap
        for one in targets:
            rule.joined(one)
    for _ in range(3):
        served = Counter(rule.pick(targets, 0.0, Random(0)).slot for _ in range(sum(weights)))
        assert [served[n] for n in range(len(weights))] == weights


def test_weighted_round_robin_forgets_who_left() -> None:
    rule = WeightedRoundRobin()
    for number in range(2000):
        passing = target(number)
        rule.joined(passing)
        rule.left(passing)
    stays = target(0)
    rule.joined(stays)
    assert rule.pick([stays], 0.0, Random(0)) is stays
    assert rule._turns < 100
    assert rule._turns == len(rule._newcomers) + sum(map(len, rule._lines.values()))


# -- least time ------------------------------------------------------------------------------------


def test_least_time_by_hand() -> None:
    rule = LeastTime(window=2)
    one, other = target(0, policy=rule), target(1, policy=rule)
    for latency_s in (9.0, 0.1, 0.3):  # 9 s has left the window
        one.load.succeed(latency_s, now=0.0)
    other.load.succeed(0.25, now=0.0)
    assert all(rule.pick([one, other], 0.0, Random(n)) is one for n in range(20))  # 0.2 < 0.25
    one.claim()  # 0.4 > 0.25
    assert all(rule.pick([one, other], 0.0, Random(n)) is other for n in range(20))


@pytest.mark.parametrize(("penalty_s", "sinks"), [(0.0, True), (1.0, False)])
def test_least_time_without_a_failure_penalty_is_a_sinkhole(penalty_s: float, sinks: bool) -> None:
    rule = LeastTime(failure_penalty_s=penalty_s)
    sound, broken = target(0, policy=rule), target(1, policy=rule)
    rng, served = Random(6), Counter[str]()
    for _ in range(500):
        chosen = rule.pick([sound, broken], 0.0, rng)
        served[chosen.id] += 1
        if chosen is broken:
            broken.load.fail(0.001, now=0.0)
        else:
            sound.load.succeed(0.050, now=0.0)
    assert (served[broken.id] > 400) is sinks


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.integers(1, 20))
def test_a_window_mean_is_the_mean_of_the_window(samples: list[float], size: int) -> None:
    window = WindowMean(size)
    for seen, sample in enumerate(samples, 1):
        window.observe(sample)
        last = samples[max(seen - size, 0) : seen]
        assert window.mean == pytest.approx(sum(last) / len(last), abs=1e-9)
