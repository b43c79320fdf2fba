"""Opening a connection to a target, and whose fault it is when there is none: its own, or ours.

A process without a descriptor or a port left says nothing about its targets: they must not be
ejected for it. Before it gives up, it lets go of a pooled connection, which is worth less.
"""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.errors import Fault
from services.balancer.dataplane.forward import TargetConnection
from services.balancer.dataplane.pool import PooledTarget
from services.balancer.ledger import TargetCell
from services.balancer.patience import Patience

if TYPE_CHECKING:
    from services.balancer.dataplane.exchange import Exchange
    from services.balancer.dataplane.plane import Plane

_CONNECTS: Final = int(TargetCell.CONNECTS)
NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
# EADDRNOTAVAIL: every port of ours towards this target is taken.
OURS: Final = NO_DESCRIPTOR | {errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


async def dial(plane: Plane, target: PooledTarget, exchange: Exchange) -> None:
    """Open a connection for an exchange; an exchange that ended meanwhile leaves it to the pool."""
    plane.make_room()
    plane.dialing += 1
    try:
        async with Patience(plane.config.timeouts.connect_s):
            connection = await _connect(plane, target)
    except (OSError, TimeoutError) as error:
        if exchange.waits_for(target):
            fault = Fault.STARVED if error.errno in OURS else Fault.CONNECT
            exchange.failed(fault, str(error) or "connect timed out")
        return
    finally:
        plane.dialing -= 1
    target.counts[_CONNECTS] += 1
    if exchange.waits_for(target):
        exchange.connected(connection)
    else:
        connection.rest()


async def _connect(plane: Plane, target: PooledTarget) -> TargetConnection:
    try:
        return await _open(plane, target)
    except OSError as error:
        if error.errno not in NO_DESCRIPTOR or not await _let_one_go(plane):
            raise
    return await _open(plane, target)


async def _open(plane: Plane, target: PooledTarget) -> TargetConnection:
    _, connection = await plane.loop.create_connection(
        lambda: TargetConnection(plane, target),  # type: ignore[type-var] # a protocol by shape
        target.host,
        target.port,
    )
    return connection


async def _let_one_go(plane: Plane) -> bool:
    """Close the pooled connection that rested longest at some target; False when none rests."""
    for cluster in plane.clusters.values():
        for target in cluster.targets.values():
            if target.idle:
                target.idle.pop(0).abort()
                for _ in range(2):  # the loop closes the descriptor in one of its next turns
                    await asyncio.sleep(0)
                return True
    return False
