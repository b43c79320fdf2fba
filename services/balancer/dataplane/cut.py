"""The end of a drain that has lasted too long: what is still pending at the target is ended.

A request that may be repeated goes to another target; of an answer that has begun, the client sees
that it is incomplete; tunnels close. Looks at every connection of the process, once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.balancer.dataplane.tunnel import Tunnel

if TYPE_CHECKING:
    from services.balancer.dataplane.plane import Plane
    from services.balancer.target import Target


def cut(plane: Plane, target: Target) -> None:
    """End what is pending at `target`."""
    for client in list(plane.clients):
        client.cut(target)
    for one in plane.deadlines.everyone():
        if isinstance(one, Tunnel):
            one.cut(target)
