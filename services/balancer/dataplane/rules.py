"""What a configuration says of a cluster, put in force in one process, whenever it changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from services.balancer.cluster import Cluster
from services.balancer.config import ClusterConfig

if TYPE_CHECKING:
    from services.balancer.dataplane.plane import Plane
    from services.balancer.dataplane.pool import PooledTarget


def put_in_force(
    plane: Plane, cluster: Cluster[PooledTarget], column: int, config: ClusterConfig
) -> None:
    """Everything but the policy; `column` is where the cluster's counts stand in the ledger."""
    for target in cluster.targets.values():
        target.limit = config.max_pending
    room, ledger = cluster.room, plane.ledger
    room.limit, room.rules = config.max_pending_total, config.queue
    room.cell = ledger.cluster(plane.row, column)
    others = [row for row in range(ledger.rows) if row != plane.row]
    room.others = [ledger.cluster(row, column) for row in others]
    room.wake = partial(plane.wake, room)
    cluster.ejector.rules = config.ejection
    cluster.budget.rules = config.retry
    cluster.budget.share = 1.0 / plane.config.processes
    cluster.ramp.rules = config.slow_start
    cluster.panic_percent = config.panic_percent
    cluster.settle()
