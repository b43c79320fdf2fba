"""CPUUtilization of instances and groups, every cloud minute, from the seconds that machines used.

Data carries the wall clock's time, for that is what those who ask for it go by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.deploy.machines import TYPES
from orchestrator.localcloud.members import Sample, company_of
from orchestrator.localcloud.world import World

PERIOD_S: Final = 60  # of detailed monitoring, which is on in every template of ours
_KEPT: Final = 50_000  # moto keeps each value by itself, for ever
_METER: Final = "steelyard_meter"


@dataclass(slots=True)
class _Meter:
    """What was read last. It hangs on moto's EC2 backend, and goes when that is reset."""

    minute: int
    at_s: float
    wall_s: float
    used_s: dict[str, float] = field(default_factory=dict)


def measure(world: World) -> None:
    """A step: once a cloud minute, what each machine used of its vCPUs since the minute before."""
    now_s, wall_s = world.clock.now(), world.clock.wall()
    ec2 = world.backend("ec2")
    before: _Meter | None = getattr(ec2, _METER, None)
    minute = int(now_s // PERIOD_S)
    if before is not None and before.minute == minute:
        return
    used_s = dict(world.machines.cpu_s())
    setattr(ec2, _METER, _Meter(minute, now_s, wall_s, used_s))
    if before is None or wall_s <= before.wall_s:
        return
    types = {one.id: one.instance_type for one in ec2.all_running_instances()}
    percent = {
        ident: _percent(used_s[ident] - before.used_s[ident], wall_s - before.wall_s, type_name)
        for ident, type_name in types.items()
        if ident in used_s and ident in before.used_s
    }
    sample = Sample(now_s, now_s - before.at_s, percent)
    put = world.backend("cloudwatch").put_metric_data
    data = [_datum(world, "InstanceId", ident, value) for ident, value in percent.items()]
    for group in world.backend("autoscaling").autoscaling_groups.values():
        company_of(group).cpu.append(sample)
        data += [
            _datum(world, "AutoScalingGroupName", group.name, percent[state.instance_id])
            for state in group.instance_states
            if state.instance_id in percent
        ]
    if data:
        put("AWS/EC2", data)
    kept = world.backend("cloudwatch").metric_data
    del kept[: max(0, len(kept) - _KEPT)]


def _percent(used_s: float, wall_s: float, type_name: str) -> float:
    """AWS's never passes 100; a container may use more than the vCPUs of its type."""
    vcpus = TYPES[type_name].vcpus if type_name in TYPES else 1
    return min(100.0, max(0.0, 100.0 * used_s / wall_s / vcpus))


def _datum(world: World, dimension: str, value: str, percent: float) -> dict[str, Any]:
    return {
        "MetricName": "CPUUtilization",
        "Dimensions": [{"Name": dimension, "Value": value}],
        "Value": percent,
        "Unit": "Percent",
        "Timestamp": naive(world.clock.wall()),
    }


def naive(at_s: float) -> datetime:
    """Seconds since the epoch as moto keeps times: UTC that does not say so."""
    return datetime.fromtimestamp(at_s, UTC).replace(tzinfo=None)
