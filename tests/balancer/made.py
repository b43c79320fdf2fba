"""Targets and pictures for tests of the pure rooms."""

from __future__ import annotations

from collections.abc import Sequence

from services.balancer.cluster import Cluster
from services.balancer.config import PolicySpec
from services.balancer.messages import Health, TargetPicture
from services.balancer.pick import build
from services.balancer.pick.policy import Policy
from services.balancer.target import Target


def picture(
    number: int, *, health: Health = Health.HEALTHY, draining: bool = False, slot: int | None = None
) -> TargetPicture:
    """Target `number` of cluster `c`; its slot is its number unless said otherwise."""
    host = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return TargetPicture(
        id=f"c/{host}:80",
        cluster="c",
        host=host,
        port=80,
        slot=number if slot is None else slot,
        health=health,
        draining=draining,
    )


def target(
    number: int, *, limit: int = 1_000_000, pending: int = 0, policy: Policy | None = None
) -> Target:
    """A healthy target in a process of its own, with `pending` claims taken.

    What is known of it is what `policy` wants to know.
    """
    made = Target(picture(number), limit=limit, own_row=[0] * (number + 1))
    load_of = getattr(policy, "load_of", None)
    if load_of is not None:
        made.load = load_of(made)
    for _ in range(pending):
        assert made.claim()
    return made


def cluster(
    policy: str, count: int, *, limit: int = 1_000_000, panic_percent: float = 0.0
) -> Cluster[Target]:
    """A cluster `c` of `count` healthy targets."""
    row = [0] * 70_000
    spec = PolicySpec(name=policy)
    made: Cluster[Target] = Cluster(
        "c",
        build(spec),
        lambda seen: Target(seen, limit=limit, own_row=row),
        spec,
        panic_percent=panic_percent,
    )
    for number in range(count):
        made.upsert(picture(number), version=1)
    return made


def counts(targets: Sequence[Target]) -> dict[str, int]:
    """Pending by target id."""
    return {t.id: t.pending for t in targets}
