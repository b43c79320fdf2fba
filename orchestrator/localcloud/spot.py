"""Spot interruptions: the notice, two minutes, and then EC2 ends the machine.

The group learns of it when the machine is going: it then replaces it. What wants to leave in order
must watch `spot/instance-action` itself.
Source: EC2 user guide, "Spot Instance interruption notices".
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from moto.ec2.models.instances import StateReason

from orchestrator.localcloud.world import World

NOTICE_S: Final = 120.0  # cloud time
_DUE: Final = "steelyard_interrupted_s"


def interrupt(world: World, ident: str) -> str:
    """Tell a running spot instance that it ends in two minutes; the notice's time, as it reads.

    The time is the wall clock's, which the machine goes by: as far off as two cloud minutes are.

    Errors:
        ValueError: no such instance runs, or it is not spot. Told already is fine.
    """
    running = {one.id: one for one in world.backend("ec2").all_running_instances()}
    instance = running.get(ident)
    if instance is None:
        raise ValueError(f"no instance {ident} runs")
    if instance.lifecycle != "spot":
        raise ValueError(f"{ident} is on demand: EC2 does not take it back")
    told = world.notices.spot.get(ident)
    if told is None:
        setattr(instance, _DUE, world.clock.now() + NOTICE_S)
        ends = datetime.fromtimestamp(world.clock.wall() + NOTICE_S / world.clock.scale, UTC)
        told = {"action": "terminate", "time": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}
        world.notices.spot[ident] = told
        world.report(f"{ident}: spot interruption at {told['time']}")
    return told["time"]


def take_back(world: World) -> None:
    """A step: end what was interrupted two minutes ago; forget the notices of what is gone."""
    ec2 = world.backend("ec2")
    alive = {one.id: one for one in ec2.all_instances() if one.state in ("pending", "running")}
    for ident in list(world.notices.spot):
        instance = alive.get(ident)
        if instance is None:
            del world.notices.spot[ident]
        elif world.clock.now() >= getattr(instance, _DUE):
            ec2.terminate_instances([ident])
            code = "Server.SpotInstanceTermination"
            instance.state_reason = StateReason(f"{code}: Spot instance termination", code)
