"""Target tracking on a group's mean CPU: three minutes over it scale out, fifteen under it, in.

Source: EC2 Auto Scaling user guide, "Target tracking scaling policies": alarms of three
one-minute periods above the target and fifteen below nine tenths of it; new instances do not count
until they are warm, and none leaves while one warms up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any, Final
from unittest.mock import patch

from moto.autoscaling.exceptions import ValidationError
from moto.autoscaling.models import DEFAULT_COOLDOWN, AutoScalingBackend
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from orchestrator.localcloud.groups import ENDING, is_deleting
from orchestrator.localcloud.health import suspended
from orchestrator.localcloud.members import company_of, member_of
from orchestrator.localcloud.world import World

OUT_AFTER_S: Final = 180.0
IN_AFTER_S: Final = 900.0
IN_BELOW: Final = 0.9
_CPU: Final = "ASGAverageCPUUtilization"

Load = tuple[float, float]  # mean CPU in percent, over so many seconds


def decide(
    loads: Sequence[Load], *, target: float, warm: int, desired: int, bounds: tuple[int, int]
) -> int:
    """The capacity that a policy asks for: `desired`, unless the latest loads say otherwise.

    `loads` end with the newest; `warm` instances made them. Never outside of min and max; never
    from one to none, as some CPU is always used.
    """
    smallest, largest = bounds
    if warm == 0:
        return desired
    over = _newest(loads, lambda percent: percent > target)
    if _lasts_s(over) >= OUT_AFTER_S:
        wanted = math.ceil(warm * _mean(over) / target)
        return max(desired, min(wanted, largest))
    under = _newest(loads, lambda percent: percent < IN_BELOW * target)
    if _lasts_s(under) >= IN_AFTER_S:
        wanted = math.ceil(warm * _mean(under) / target)
        return min(desired, max(wanted, smallest, 1))
    return desired


def scale(world: World) -> None:
    """A step: what each target tracking policy asks for now."""
    backend = world.backend("autoscaling")
    for policy in list(backend.policies.values()):
        group = backend.autoscaling_groups.get(policy.auto_scaling_group_name)
        tracking = getattr(policy, "target_tracking_configuration", None)
        if group is None or tracking is None or is_deleting(group):
            continue
        metric = getattr(tracking, "PredefinedMetricSpecification", {})
        if metric.get("PredefinedMetricType") == _CPU and not suspended(group, "AlarmNotification"):
            _track(world, group, policy, vars(tracking))


def _track(world: World, group: Any, policy: Any, tracking: dict[str, Any]) -> None:
    record, now_s = company_of(group), world.clock.now()
    warm_up_s = policy.estimated_instance_warmup
    warm_up_s = DEFAULT_COOLDOWN if warm_up_s is None else int(warm_up_s)
    warm = {
        state.instance_id: served_s + warm_up_s
        for state in group.instance_states
        if state.lifecycle_state == "InService"
        and (served_s := member_of(world, state).in_service_s) is not None
        and served_s + warm_up_s <= now_s
    }
    loads = []
    for sample in record.cpu:
        percents = [
            sample.percent[ident]
            for ident, from_s in warm.items()
            if ident in sample.percent and from_s <= sample.at_s - sample.width_s
        ]
        if percents:
            loads.append((sum(percents) / len(percents), sample.width_s))
    desired = group.desired_capacity
    wanted = decide(
        loads,
        target=float(tracking["TargetValue"]),
        warm=len(warm),
        desired=desired,
        bounds=(group.min_size, group.max_size),
    )
    there = sum(state.lifecycle_state not in ENDING for state in group.instance_states)
    warming = there > len(warm) or there != desired
    if wanted == desired or (wanted < desired and (warming or tracking.get("DisableScaleIn"))):
        return
    group.desired_capacity = wanted
    side = "High" if wanted > desired else "Low"
    record.reason = (
        f"a monitor alarm TargetTracking-{group.name}-Alarm{side} in state ALARM triggered policy "
        f"{policy.name} changing the desired capacity from {desired} to {wanted}"
    )
    record.cpu.clear()
    world.report(f"{group.name}: {policy.name} sets {wanted} machines, {desired} before")


def _newest(loads: Sequence[Load], holds: Callable[[float], bool]) -> list[Load]:
    return list(takewhile(lambda load: holds(load[0]), reversed(loads)))


def _lasts_s(loads: Sequence[Load]) -> float:
    return sum(width_s for _, width_s in loads)


def _mean(loads: Sequence[Load]) -> float:
    return sum(percent * width_s for percent, width_s in loads) / _lasts_s(loads)


@contextmanager
def policies_by_group() -> Iterator[None]:
    """While this lasts, two groups may have policies of one name; moto keeps the last."""
    plain = AutoScalingBackend.put_scaling_policy

    def put_scaling_policy(self: Any, name: str, *args: Any, **given: Any) -> Any:
        others = dict(self.policies)
        policy = plain(self, name, *args, **given)
        others[f"{policy.auto_scaling_group_name}/{name}"] = policy
        self.policies = others
        return policy

    def key_of(request: Any) -> str:
        group, name = (request._get_param(k) for k in ("AutoScalingGroupName", "PolicyName"))
        known = request.autoscaling_backend.policies
        keys = [key for key, policy in known.items() if name in (policy.name, policy.arn)]
        found = [key for key in keys if group in (None, known[key].auto_scaling_group_name)]
        if len(found) != 1:
            raise ValidationError(f"PolicyName not found - {name}")
        return str(found[0])

    def delete_policy(self: Any) -> ActionResult:
        del self.autoscaling_backend.policies[key_of(self)]
        return EmptyResult()

    def execute_policy(self: Any) -> ActionResult:
        self.autoscaling_backend.policies[key_of(self)].execute()
        return EmptyResult()

    with (
        patch.object(AutoScalingBackend, "put_scaling_policy", put_scaling_policy),
        patch.object(AutoScalingResponse, "delete_policy", delete_policy),
        patch.object(AutoScalingResponse, "execute_policy", execute_policy),
    ):
        yield
