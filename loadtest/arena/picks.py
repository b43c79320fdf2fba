"""What a pick costs: `python -m loadtest.arena.picks`, microseconds of CPU by policy and size.

*pick* is the choice alone, with requests pending on half of the targets. *whole* is all that a
policy costs one request: pick, claim, release, and what is learnt at the begin and the end. The
best of several rounds counts: what else the machine does can only add.
"""

from __future__ import annotations

import time
from collections import deque
from random import Random
from typing import Annotated, Final

import typer

from services.balancer.cluster import Cluster
from services.balancer.config import PolicySpec
from services.balancer.messages import Health, TargetPicture
from services.balancer.pick import POLICIES, build
from services.balancer.target import Target

SIZES: Final = (10, 100, 1000, 10_000)
ROUNDS: Final = 7
BUDGET_LOOKS: Final = 400_000  # targets looked at in a round, were the policy to look at all
LATENCY_S: Final = 0.010


def made(policy: str, count: int) -> Cluster[Target]:
    """A cluster of healthy targets, each of which has answered."""
    row = [0] * count
    spec = PolicySpec(name=policy)
    cluster: Cluster[Target] = Cluster(
        "c", build(spec), lambda seen: Target(seen, limit=1_000_000, own_row=row), spec
    )
    for number in range(count):
        host = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        cluster.upsert(
            TargetPicture(
                id=f"c/{host}:80",
                cluster="c",
                host=host,
                port=80,
                slot=number,
                health=Health.HEALTHY,
            ),
            version=1,
        )
    rng = Random(1)
    for target in cluster.eligible:
        target.claim()
        target.load.begin(0.0)
        target.release()
        target.load.reported(1.0, LATENCY_S, 0.5, LATENCY_S)
        target.load.succeed(LATENCY_S * rng.uniform(0.5, 1.5), LATENCY_S)
    return cluster


def cost_us(policy: str, count: int) -> tuple[float, float]:
    """CPU microseconds of (a pick, the whole) among `count` targets."""
    cluster, rng, now = made(policy, count), Random(2), 1.0
    picks = max(200, min(20_000, BUDGET_LOOKS // count))
    pending: deque[tuple[Target, float]] = deque()
    best_pick = best_whole = float("inf")
    for _ in range(ROUNDS):
        start = time.thread_time()
        for _ in range(picks):
            now += LATENCY_S / count
            chosen = cluster.pick(now, rng)
            assert chosen is not None  # noqa: S101 - all are healthy
            pending.append((chosen, now))
            if len(pending) > count // 2:
                done, began = pending.popleft()
                done.release()
                done.load.succeed(now - began, now)
        best_whole = min(best_whole, time.thread_time() - start)
        choose, candidates = cluster.policy.pick, cluster.eligible
        start = time.thread_time()
        for _ in range(picks):
            choose(candidates, now, rng)
        best_pick = min(best_pick, time.thread_time() - start)
    return best_pick / picks * 1e6, best_whole / picks * 1e6


def main(
    policies: Annotated[str, typer.Option(help="by comma")] = ",".join(POLICIES),
    sizes: Annotated[str, typer.Option(help="numbers of targets, by comma")] = ",".join(
        map(str, SIZES)
    ),
) -> None:
    """Print a table: a row for each policy, pick / whole for each number of targets."""
    counts = [int(size) for size in sizes.split(",")]
    print("policy".ljust(22), *(f"{count:>7,} targets" for count in counts))
    for policy in policies.split(","):
        cells = [cost_us(policy, count) for count in counts]
        print(policy.ljust(22), *(f"{pick:6.2f} /{whole:7.2f}" for pick, whole in cells))


if __name__ == "__main__":
    typer.run(main)
