"""A target that fails at once must never become the favourite, whatever the policy goes by."""

from __future__ import annotations

from collections import Counter
from heapq import heappop, heappush
from random import Random

import pytest

from services.balancer.pick import POLICIES
from services.balancer.target import Target
from tests.balancer.made import cluster, picture

SERVICE_S = 0.020
FAILS_IN_S = 0.0005
AT_ONCE = 16


def share_of_the_sinkhole(policy: str, seconds: float, *, ejection: bool) -> float:
    """A while with one of four targets failing every request at once: its part of them all."""
    made, rng = cluster(policy, 4, panic_percent=50.0), Random(5)
    if not ejection:
        for target in made.targets.values():
            target.judge = None
    sinkhole = made.targets[picture(0).id]
    for target in made.targets.values():  # the best that a probe and a load report can say
        target.load.probed(FAILS_IN_S if target is sinkhole else SERVICE_S, 0.0, 0.0, 0.0)
    ends: list[tuple[float, int, Target]] = []
    served: Counter[str] = Counter()
    now, count = 0.0, 0
    while now < seconds:
        while len(ends) < AT_ONCE:
            chosen = made.pick(now, rng)
            assert chosen is not None
            served[chosen.id] += 1
            count += 1
            took_s = FAILS_IN_S if chosen is sinkhole else SERVICE_S * rng.uniform(0.5, 1.5)
            heappush(ends, (now + took_s, count, chosen))
        then = now
        now, _, target = heappop(ends)
        target.release()
        if target is sinkhole:
            target.load.fail(FAILS_IN_S, now)
            target.failed(now)
        else:
            target.load.succeed(SERVICE_S, now)
            target.failed_in_row = 0
        if int(now * 10) > int(then * 10):
            made.ejector.tick(now)
    return served[sinkhole.id] / served.total()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_sinkhole_gets_next_to_nothing(policy: str) -> None:
    assert share_of_the_sinkhole(policy, 20.0, ejection=True) < 0.01


@pytest.mark.parametrize("policy", ["p2c", "least_pending", "fastest"])
def test_without_ejection_it_would_get_the_most(policy: str) -> None:
    """What the test above is worth."""
    assert share_of_the_sinkhole(policy, 2.0, ejection=False) > 0.4
