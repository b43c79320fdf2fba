"""A cluster's counts keep their place in the ledger, whatever a reload does to the file's order."""

from __future__ import annotations

from services.balancer.config import ClusterConfig, Config
from services.balancer.ledger import ClusterCell
from tests.balancer.dataplane.stand import data_plane


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
