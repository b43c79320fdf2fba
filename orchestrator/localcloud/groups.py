"""Auto Scaling groups that move: launch, wait for hooks, serve, replace what died, scale in.

    Pending -> Pending:Wait -> InService -> Terminating -> Terminating:Wait -> Terminating:Proceed

Source: EC2 Auto Scaling user guide, "Instance lifecycle" and "Termination policies".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from moto.autoscaling.models import ASG_NAME_TAG, InstanceState
from moto.core.exceptions import ServiceException

from orchestrator.localcloud.health import illness, suspended, target_groups, target_health
from orchestrator.localcloud.members import (
    begin,
    company_of,
    finish,
    hooks,
    member_of,
    outcome,
    wait_for,
)
from orchestrator.localcloud.world import World

RETRY_S: Final = 30.0  # after a launch that failed; AWS takes longer from time to time
ENDING: Final = ("Terminating", "Terminating:Wait", "Terminating:Proceed")
_APART: Final = (*ENDING, "Standby")  # not among those that make up the desired capacity
DELETING: Final = "Delete in progress"


def move_groups(world: World) -> None:
    """A step: every group, as far as it can go now."""
    for group in list(world.backend("autoscaling").autoscaling_groups.values()):
        _move(world, group)


def _move(world: World, group: Any) -> None:
    for state in list(group.instance_states):
        while _advanced(world, group, state):
            pass
    if is_deleting(group):
        if not group.instance_states:
            _forget(world, group)
        return
    counted = [s for s in group.instance_states if s.lifecycle_state not in _APART]
    missing = (group.desired_capacity or 0) - len(counted)
    if missing > 0 and not suspended(group, "Launch"):
        for _ in range(missing):
            if not _launched(world, group):
                break
    elif missing < 0 and not suspended(group, "Terminate"):
        for state in to_end(world, counted, -missing):
            cause = (
                f"{company_of(group).reason}. An instance was taken out of service, shrinking the "
                f"capacity to {group.desired_capacity}."
            )
            end_member(world, group, state, cause)


def is_deleting(group: Any) -> bool:
    """Somebody has asked for its end."""
    return getattr(group, "status", None) == DELETING


def to_end(world: World, states: list[Any], count: int) -> list[Any]:
    """Whom a scale-in ends, by the default policy: in the fullest zone, the oldest template, then
    the longest there. Those protected stay, whatever the count."""
    left, chosen = list(states), list[Any]()
    while len(chosen) < count:
        full = Counter(s.availability_zone for s in left)
        free = [s for s in left if not s.protected_from_scale_in]
        if not free:
            break
        one = min(
            free,
            key=lambda s: (
                -full[s.availability_zone],
                int(s.launch_template["Version"]) if s.launch_template else 0,
                member_of(world, s).launched_s,
            ),
        )
        left.remove(one)
        chosen.append(one)
    return chosen


def end_member(world: World, group: Any, state: Any, cause: str) -> dict[str, Any]:
    """An instance begins to leave; the activity. Leaving already is fine."""
    member = member_of(world, state)
    if state.lifecycle_state in ENDING and member.activity:
        return member.activity
    if member.activity is not None and member.activity["StatusCode"] == "InProgress":
        finish(world, member.activity, "Cancelled")
    member.waits.clear()
    _enter(world, state, "Terminating")
    for target_group in target_groups(world, group):
        if state.instance_id in target_group.targets:
            target_group.deregister([{"Id": state.instance_id}])
    description = f"Terminating EC2 instance: {state.instance_id}"
    member.activity = begin(world, group, description, cause)
    return member.activity


def _advanced(world: World, group: Any, state: Any) -> bool:
    """One transition, if one is due."""
    here = state.lifecycle_state
    if here in ("Pending", "Pending:Wait", "InService") and _ends_ill(world, group, state):
        return True
    step = _FROM.get(here)
    if step is not None:
        step(world, group, state)
    return bool(state.lifecycle_state != here)


def _ends_ill(world: World, group: Any, state: Any) -> bool:
    ill = illness(world, group, state, member_of(world, state).in_service_s)
    if ill is None:
        return False
    state.health_status = "Unhealthy"
    if suspended(group, "Terminate"):
        return False
    end_member(world, group, state, f"an instance was taken out of service: {ill}.")
    return True


def _pending(world: World, group: Any, state: Any) -> None:
    if state.instance.state != "running":
        return
    if _must_wait(world, group, state, "LAUNCHING"):
        _enter(world, state, "Pending:Wait")
    else:
        _serve(world, group, state)


def _pending_wait(world: World, group: Any, state: Any) -> None:
    said = _said(world, group, state, "LAUNCHING")
    if said == "ABANDON":
        end_member(world, group, state, "a launching lifecycle hook ended with ABANDON.")
    elif said:
        _serve(world, group, state)


def _terminating(world: World, group: Any, state: Any) -> None:
    if "draining" in target_health(world, group, state):
        return
    if _must_wait(world, group, state, "TERMINATING"):
        _enter(world, state, "Terminating:Wait")
    else:
        _power_off(world, state)


def _terminating_wait(world: World, group: Any, state: Any) -> None:
    if _said(world, group, state, "TERMINATING"):  # either word lets it end
        _power_off(world, state)


def _terminating_proceed(world: World, group: Any, state: Any) -> None:
    if state.instance.state != "terminated":
        return
    group.instance_states = [one for one in group.instance_states if one is not state]
    world.notices.lifecycle.pop(state.instance_id, None)
    _finished(world, state)


_FROM: Final[dict[str, Callable[[World, Any, Any], None]]] = {
    "Pending": _pending,
    "Pending:Wait": _pending_wait,
    "Terminating": _terminating,
    "Terminating:Wait": _terminating_wait,
    "Terminating:Proceed": _terminating_proceed,
}


def _must_wait(world: World, group: Any, state: Any, transition: str) -> bool:
    waits = {hook.name: wait_for(world, hook) for hook in hooks(world, group, transition)}
    member_of(world, state).waits = waits
    return bool(waits)


def _said(world: World, group: Any, state: Any, transition: str) -> str | None:
    present = {hook.name: hook for hook in hooks(world, group, transition)}
    return outcome(member_of(world, state).waits, present, world.clock.now())


def _serve(world: World, group: Any, state: Any) -> None:
    member = member_of(world, state)
    member.waits.clear()
    member.in_service_s = world.clock.now()
    _enter(world, state, "InService")
    _finished(world, state)
    for target_group in target_groups(world, group):
        if not suspended(group, "AddToLoadBalancer"):
            target_group.register([{"Id": state.instance_id, "Port": target_group.port}])


def _power_off(world: World, state: Any) -> None:
    _enter(world, state, "Terminating:Proceed")
    if state.instance.state != "terminated":
        world.backend("ec2").terminate_instances([state.instance_id])


def _finished(world: World, state: Any) -> None:
    activity = member_of(world, state).activity
    if activity is not None:
        finish(world, activity, "Successful")


def _enter(world: World, state: Any, lifecycle_state: str) -> None:
    state.lifecycle_state = lifecycle_state
    target = "Terminated" if lifecycle_state in ENDING else "InService"
    world.notices.lifecycle[state.instance_id] = target


def _launched(world: World, group: Any) -> bool:
    """One more instance, in the emptiest zone; False: it was refused, or not yet again."""
    record, now_s = company_of(group), world.clock.now()
    if now_s < record.not_before_s:
        return False
    cause = (
        f"{record.reason}. An instance was started in response to a difference between desired and "
        f"actual capacity, increasing the capacity towards {group.desired_capacity}."
    )
    activity = begin(world, group, "Launching a new EC2 instance", cause)
    try:
        instance = _run_instance(world, group)
    except ServiceException as error:
        finish(world, activity, "Failed", f"{error.message} Launching EC2 instance failed.")
        record.not_before_s = now_s + RETRY_S
        return False
    activity["Description"] = f"Launching a new EC2 instance: {instance.id}"
    instance.autoscaling_group = group
    state = InstanceState(
        instance,
        lifecycle_state="Pending",
        protected_from_scale_in=group.new_instances_protected_from_scale_in,
    )
    member_of(world, state).activity = activity
    _enter(world, state, "Pending")
    group.instance_states = [*group.instance_states, state]
    return True


def _run_instance(world: World, group: Any) -> Any:
    ec2 = world.backend("ec2")
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else [None]
    there = Counter(s.instance.subnet_id for s in group.instance_states)
    template = None
    if group.ec2_launch_template is not None:
        version = group.ec2_launch_template.get_version(group.launch_template_version)
        template = {
            "LaunchTemplateId": group.ec2_launch_template.id,
            "Version": str(version.number),
        }
    made = ec2.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        region_name=world.region,
        instance_type=group.instance_type,
        tags={
            "instance": {
                **group.instance_tags,
                **group.get_propagated_tags(),
                ASG_NAME_TAG: group.name,
            }
        },
        placement=group.availability_zones[0],
        launch_config=group.launch_config,
        launch_template=template,
        is_instance_type_default=False,
        associate_public_ip=getattr(group.launch_config, "associate_public_ip_address", None),
        subnet_id=min(subnets, key=lambda subnet: there[subnet]),
    )
    return made.instances[0]


def _forget(world: World, group: Any) -> None:
    backend = world.backend("autoscaling")
    backend.autoscaling_groups.pop(group.name, None)
    for kept in (backend.lifecycle_hooks, backend.policies, backend.scheduled_actions):
        for key, one in list(kept.items()):
            if one.auto_scaling_group_name == group.name:
                del kept[key]
