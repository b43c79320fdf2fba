"""What a pick costs: `python -m loadtest.arena.picks`, microseconds of CPU by policy and size.

*pick* is the choice alone, with requests pending on half of the targets. *whole* is all that a
policy costs one request: pick, claim, release, and what is learnt at the begin and the end. The
best of several rounds counts, the sizes in turn: what else the machine does can only add. With
several processes, and with news of other balancers, there are more counts to be added up.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Sequence
from random import Random
from typing import Annotated, Any, Final

import typer

from services.balancer.cluster import Cluster
from services.balancer.config import PolicySpec
from services.balancer.load import SEEN_CELLS
from services.balancer.messages import Health, TargetPicture
from services.balancer.pick import POLICIES, build
from services.balancer.target import Target

SIZES: Final = (10, 100, 1000, 10_000)
ROUNDS: Final = 9
PICKS: Final = 4000  # of a round
KEYS: Final = [b"user-%d" % number for number in range(PICKS)]
LATENCY_S: Final = 0.010
NEWS_AGE_US: Final = 10_000


def made(policy: str, count: int, processes: int = 1, *, news: bool = False) -> Cluster[Target]:
    """A cluster of healthy targets, each of which has answered. The others have nothing pending."""
    row, *siblings = rows = [[0] * count for _ in range(processes)]
    shown = tuple([0] * (SEEN_CELLS * count) for _ in rows) if siblings else ()
    elsewhere = [*([0] * count), NEWS_AGE_US] if news else None

    def make(picture: TargetPicture) -> Target:
        return Target(
            picture,
            limit=1_000_000,
            own_row=row,
            siblings=tuple(siblings),
            elsewhere=elsewhere,
            seen=shown,
        )

    spec = PolicySpec(name=policy)
    cluster: Cluster[Target] = Cluster("c", build(spec), make, spec)
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


class Stand:
    """A policy among so many targets, with requests pending on half of them."""

    def __init__(self, policy: str, count: int, processes: int = 1, *, news: bool = False) -> None:
        self._cluster = made(policy, count, processes, news=news)
        self._rng, self._now = Random(2), 1.0
        self._keyed = hasattr(self._cluster.policy, "pick_keyed")
        self._step_s = LATENCY_S / count
        self._pending: deque[tuple[Target, float]] = deque()
        self._most = count // 2
        self.pick_us = self.whole_us = float("inf")  # of the best round so far
        self._whole(self._most + PICKS)

    def round(self) -> None:
        """Once more, and the better of both counts."""
        start = time.thread_time()
        self._whole(PICKS)
        whole_us = (time.thread_time() - start) / PICKS * 1e6
        policy: Any = self._cluster.policy
        candidates, now, rng = self._cluster.eligible, self._now, self._rng
        choose, choose_keyed = policy.pick, getattr(policy, "pick_keyed", None)
        start = time.thread_time()
        if choose_keyed is None:
            for _ in range(PICKS):
                choose(candidates, now, rng)
        else:
            for key in KEYS:
                choose_keyed(key, candidates, now, rng)
        pick_us = (time.thread_time() - start) / PICKS * 1e6
        self.pick_us, self.whole_us = min(self.pick_us, pick_us), min(self.whole_us, whole_us)

    def _whole(self, picks: int) -> None:
        pending = self._pending
        for turn in range(picks):
            self._now += self._step_s
            key = KEYS[turn % PICKS] if self._keyed else b""
            chosen = self._cluster.pick_keyed(key, self._now, self._rng)
            assert chosen is not None  # noqa: S101 - all are healthy
            pending.append((chosen, self._now))
            if len(pending) > self._most:
                done, began = pending.popleft()
                done.release()
                done.load.succeed(self._now - began, self._now)


def costs(
    policy: str,
    sizes: Sequence[int] = SIZES,
    rounds: int = ROUNDS,
    processes: int = 1,
    *,
    news: bool = False,
) -> list[Stand]:
    """What a policy costs among each number of targets, measured in turn."""
    stands = [Stand(policy, size, processes, news=news) for size in sizes]
    for _ in range(rounds):
        for stand in stands:
            stand.round()
    return stands


def main(
    *,
    policies: Annotated[str, typer.Option(help="by comma")] = ",".join(POLICIES),
    sizes: Annotated[str, typer.Option(help="numbers of targets, by comma")] = ",".join(
        map(str, SIZES)
    ),
    processes: Annotated[int, typer.Option(min=1, help="of this balancer")] = 1,
    news: Annotated[bool, typer.Option(help="other balancers tell what they have pending")] = False,
    json_: Annotated[
        bool, typer.Option("--json", help="by policy: pick, whole, pick, ...")
    ] = False,
) -> None:
    """Print a table: a row for each policy, pick / whole for each number of targets."""
    counts = [int(size) for size in sizes.split(",")]
    if json_:
        found = {
            policy: costs(policy, counts, processes=processes, news=news)
            for policy in policies.split(",")
        }
        us = {
            name: [us for c in cells for us in (c.pick_us, c.whole_us)]
            for name, cells in found.items()
        }
        print(json.dumps(us))
        return
    print("policy".ljust(22), *(f"{count:>7,} targets" for count in counts))
    for policy in policies.split(","):
        cells = costs(policy, counts, processes=processes, news=news)
        print(policy.ljust(22), *(f"{c.pick_us:6.2f} /{c.whole_us:7.2f}" for c in cells))


if __name__ == "__main__":
    typer.run(main)
