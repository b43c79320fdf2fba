"""What stands in the ledger where: a cluster's counts, whatever a reload does to the file's order,
and what the processes see of a target.
"""

from __future__ import annotations

import asyncio
from random import Random

from services.balancer.config import ClusterConfig, Config
from services.balancer.dataplane.plane import Plane
from services.balancer.ledger import ClusterCell, Ledger, TargetCell
from services.balancer.load import SEEN_CELLS
from services.balancer.messages import SLICE, Membership
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.balancer.made import picture


def clusters(*names: str) -> Config:
    return Config(clusters=tuple(ClusterConfig(name=name, targets=()) for name in names))


async def test_counts_follow_their_cluster_through_a_reload() -> None:
    async with data_plane(config=clusters("a", "b", "d")) as stand:
        plane = stand.plane

        def refused() -> list[int]:
            plane.publish()
            cells = [plane.ledger.cluster(0, column) for column in range(4)]
            return [cell[ClusterCell.RETRIES_REFUSED] for cell in cells]

        for count, name in enumerate("abd", start=1):
            plane.clusters[name].counts[ClusterCell.RETRIES_REFUSED] = count
        assert refused() == [1, 2, 3, 0]
        plane.configure(clusters("new", "d", "a"))
        plane.clusters["new"].counts[ClusterCell.RETRIES_REFUSED] = 9
        assert refused() == [1, 2, 3, 9]  # nobody writes where `b` was
        plane.configure(clusters("d", "a"), {"d": 1, "a": 0})
        assert refused()[:2] == [1, 3]  # the supervisor's word counts
        assert plane.clusters["d"].room.cell[ClusterCell.RETRIES_REFUSED] == 3


async def test_many_targets_are_published_in_steps() -> None:
    async with data_plane(config=clusters("c")) as stand:
        plane = stand.plane
        plane.member(
            Membership(
                version=1, full=True, last=True, upserts=tuple(picture(n) for n in range(100))
            )
        )
        for target in plane.clusters["c"].targets.values():
            target.counts[TargetCell.REQUESTS] = target.slot + 1
        gone = plane.clusters["c"].targets[picture(99).id]
        published: list[int] = []
        for step, _ in enumerate(plane.publishing()):
            seen = [plane.ledger.target(0, n)[TargetCell.REQUESTS] for n in range(100)]
            published.append(sum(map(bool, seen)))
            if step == 0:  # whoever leaves meanwhile writes no more: its slot may be another's
                plane.member(
                    Membership(version=2, full=False, last=True, removes=(picture(99).id,))
                )
                plane.ledger.zero_target(99)
                gone.counts[TargetCell.REQUESTS] += 1  # a request that was pending has ended
        assert published == [*range(SLICE, 99, SLICE), 99]


async def test_processes_show_each_other_what_they_see_of_a_target() -> None:
    """Each writes in its own row; one alone shows nothing."""
    loop = asyncio.get_running_loop()
    ledger = Ledger.create(rows=3)
    planes = [
        Plane(loop=loop, ledger=ledger, row=row, config=configuration(), rng=Random(row))
        for row in (0, 2)
    ]
    targets = []
    for plane in planes:
        plane.member(Membership(version=1, full=True, last=True, upserts=(picture(7),)))
        targets.append(plane.clusters["c"].targets[picture(7).id])
    first, second = targets
    assert (len(first.seen), len(second.seen)) == (3, 3)
    first.seen[0][7 * SEEN_CELLS] = 5
    assert ledger.seen(0)[7 * SEEN_CELLS] == 5
    assert [row[7 * SEEN_CELLS] for row in second.seen] == [0, 5, 0]
    async with data_plane(9) as stand:
        (alone,) = stand.plane.clusters["c"].targets.values()
        assert alone.seen == ()
