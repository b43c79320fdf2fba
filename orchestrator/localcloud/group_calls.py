"""The calls of Auto Scaling that moto lacks, or answers where AWS refuses, or acts on at once.

moto's calls change instances themselves; here they only write down what is wanted, and the step of
`groups` does it. Source of refusals: EC2 Auto Scaling API reference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Final
from unittest.mock import patch

from moto.autoscaling.exceptions import AutoscalingClientError, ValidationError
from moto.autoscaling.models import AutoScalingBackend, FakeAutoScalingGroup
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.responses import ActionResult, EmptyResult

from orchestrator.localcloud.groups import DELETING, ENDING, end_member, is_deleting
from orchestrator.localcloud.members import company_of, member_of
from orchestrator.localcloud.scaling import policies_by_group
from orchestrator.localcloud.world import World

_PAGE: Final = 100
_SIZES: Final = ("min_size", "max_size", "desired_capacity")


@contextmanager
def real_groups(world: World) -> Iterator[None]:
    """While this lasts, groups of the world's region move by `groups.move_groups` alone."""
    with ExitStack() as stack:
        stack.enter_context(policies_by_group())

        def put(owner: type, **methods: Callable[..., Any]) -> None:
            for name, method in methods.items():
                stack.enter_context(patch.object(owner, name, method, create=True))

        put(
            FakeAutoScalingGroup,
            set_desired_capacity=_set_desired_capacity,
        )
        put(
            AutoScalingBackend,
            create_auto_scaling_group=_checked_create(AutoScalingBackend.create_auto_scaling_group),
            update_auto_scaling_group=_checked_update(AutoScalingBackend.update_auto_scaling_group),
            set_desired_capacity=_checked_desired,
            terminate_instance=_terminate_instance(world),
            notify_terminate_instances=lambda _self, _instance_ids: None,  # the step sees it
            update_attached_target_groups=_registered,
            delete_lifecycle_hook=_delete_lifecycle_hook(world),
        )
        put(
            AutoScalingResponse,
            delete_auto_scaling_group=_delete_auto_scaling_group(world),
            describe_scaling_activities=_describe_scaling_activities(world),
            complete_lifecycle_action=_complete_lifecycle_action(world),
            record_lifecycle_action_heartbeat=_record_heartbeat(world),
        )
        yield


def refuse_sizes(name: str, smallest: int, largest: int, desired: int) -> None:
    """Raises ValidationError, as AWS does, unless min <= desired <= max."""
    if smallest > largest:
        raise ValidationError(
            f"Max bound, {largest}, must be greater than or equal to min bound, {smallest}"
        )
    if not smallest <= desired <= largest:
        raise ValidationError(
            f"Desired capacity:{desired} must be between the specified min size:{smallest} and "
            f"max size:{largest} of {name}"
        )


def _set_desired_capacity(self: Any, new_capacity: int | None) -> None:
    self.desired_capacity = self.min_size if new_capacity is None else new_capacity
    company_of(
        self
    ).reason = f"a user request set group desired capacity to {self.desired_capacity}"


def _checked_create(plain: Callable[..., Any]) -> Callable[..., Any]:
    def create_auto_scaling_group(self: Any, **given: Any) -> Any:
        name = given["name"]
        if name in self.autoscaling_groups:
            raise AutoscalingClientError(
                "AlreadyExists",
                "AutoScalingGroup by this name already exists - A group with the name "
                f"{name} already exists",
            )
        smallest, largest = int(given["min_size"]), int(given["max_size"])
        desired = given.get("desired_capacity")
        refuse_sizes(name, smallest, largest, smallest if desired is None else int(desired))
        return plain(self, **given)

    return create_auto_scaling_group


def _checked_update(plain: Callable[..., Any]) -> Callable[..., Any]:
    def update_auto_scaling_group(self: Any, **given: Any) -> Any:
        group = _found(self, given["name"])
        smallest, largest, desired = (
            getattr(group, size) if given.get(size) is None else given[size] for size in _SIZES
        )
        if smallest <= largest and given.get("desired_capacity") is None:
            desired = min(max(desired, smallest), largest)
        refuse_sizes(group.name, smallest, largest, desired)
        # moto forgets the policy where it is not named again.
        given["mixed_instances_policy"] = (
            given.get("mixed_instances_policy") or group.mixed_instances_policy
            if not given.get("launch_template")
            else None
        )
        return plain(self, **{**given, "desired_capacity": desired})

    return update_auto_scaling_group


def _checked_desired(self: Any, group_name: str, desired_capacity: int | None) -> None:
    group = _found(self, group_name)
    if desired_capacity is not None and not group.min_size <= desired_capacity <= group.max_size:
        side, bound = ("above max", group.max_size)
        if desired_capacity < group.min_size:
            side, bound = ("below min", group.min_size)
        raise ValidationError(
            f"New SetDesiredCapacity value {desired_capacity} is {side} value {bound} for the "
            "AutoScalingGroup."
        )
    group.set_desired_capacity(desired_capacity)


def _found(backend: Any, name: str) -> Any:
    group = backend.autoscaling_groups.get(name)
    if group is None:
        raise ValidationError("AutoScalingGroup name not found - null")
    if is_deleting(group):
        raise ValidationError(f"AutoScalingGroup {name} is pending delete")
    return group


def _terminate_instance(world: World) -> Callable[..., Any]:
    def terminate_instance(self: Any, instance_id: str, should_decrement: bool) -> Any:
        group, state = _member(self, instance_id)
        if should_decrement:
            if group.desired_capacity <= group.min_size:
                raise ValidationError(
                    f"Currently, desiredSize equals minSize ({group.min_size}). Terminating "
                    "instance without replacement will violate group's min size constraint. "
                    "Either set shouldDecrementDesiredCapacity flag to false or lower group's "
                    "min size."
                )
            if state.lifecycle_state not in ENDING:
                group.desired_capacity -= 1
        cause = "an instance was taken out of service in response to a user request."
        return end_member(world, group, state, cause)

    return terminate_instance


def _member(backend: Any, instance_id: str) -> tuple[Any, Any]:
    for group in backend.autoscaling_groups.values():
        for state in group.instance_states:
            if state.instance_id == instance_id:
                return group, state
    raise ValidationError(f"Instance Id not found - No managed instance found for {instance_id}")


def _registered(self: Any, group_name: str) -> None:
    """Those in service; moto registers all, and those that don't run are refused then."""
    group = self.autoscaling_groups[group_name]
    for arn in group.target_group_arns:
        target_group = self.elbv2_backend.target_groups.get(arn)
        if target_group is not None:
            target_group.register(
                [
                    {"Id": state.instance_id, "Port": target_group.port}
                    for state in group.active_instances()
                    if state.instance_id not in target_group.targets
                ]
            )


def _delete_lifecycle_hook(world: World) -> Callable[..., Any]:
    def delete_lifecycle_hook(self: Any, as_name: str, name: str) -> None:
        """Waits for it end as AWS says: launches with ABANDON, terminations with CONTINUE."""
        hook = self.lifecycle_hooks.pop(f"{as_name}_{name}", None)
        if hook is None:
            raise ValidationError(f"No Lifecycle Hook found for group {as_name} with name {name}")
        result = "ABANDON" if hook.lifecycle_transition.endswith("LAUNCHING") else "CONTINUE"
        group = self.autoscaling_groups.get(as_name)
        for state in group.instance_states if group else []:
            wait = member_of(world, state).waits.get(name)
            if wait is not None and wait.result is None:
                wait.result = result

    return delete_lifecycle_hook


def _delete_auto_scaling_group(world: World) -> Callable[..., Any]:
    def delete_auto_scaling_group(self: Any) -> ActionResult:
        backend = self.autoscaling_backend
        name = self._get_param("AutoScalingGroupName")
        group = backend.autoscaling_groups.get(name)
        if group is None:
            raise ValidationError(
                f"AutoScalingGroup name not found - AutoScalingGroup '{name}' not found"
            )
        if group.instance_states and not self._get_bool_param("ForceDelete", False):
            raise AutoscalingClientError(
                "ResourceInUse",
                "You cannot delete an AutoScalingGroup while there are instances or pending Spot "
                "instance request(s) still in the group.",
            )
        group.status = DELETING
        group.min_size = group.max_size = group.desired_capacity = 0
        for hook in [h for h in backend.lifecycle_hooks.values() if _of(h, name)]:
            del backend.lifecycle_hooks[f"{name}_{hook.name}"]  # nothing waits for them now
        for state in group.instance_states:
            end_member(world, group, state, "the group was deleted by force.")
        if not group.instance_states:
            backend.autoscaling_groups.pop(name)
        return EmptyResult()

    return delete_auto_scaling_group


def _of(hook: Any, group_name: str) -> bool:
    return bool(hook.auto_scaling_group_name == group_name)


def _describe_scaling_activities(world: World) -> Callable[..., Any]:
    def describe_scaling_activities(self: Any) -> ActionResult:
        """Newest first, a page at a time; those of groups that are gone are forgotten."""
        backend = self.autoscaling_backend
        name = self._get_param("AutoScalingGroupName")
        wanted = self._get_param("ActivityIds", [])
        groups = [g for g in backend.autoscaling_groups.values() if name in (None, g.name)]
        found = [
            activity
            for group in groups
            for activity in company_of(group).activities
            if not wanted or activity["ActivityId"] in wanted
        ]
        found.sort(key=lambda activity: activity["StartTime"], reverse=True)
        first = int(self._get_param("NextToken") or 0)
        size = self._get_int_param("MaxRecords") or _PAGE
        page = list(islice(found, first, first + size))
        more = str(first + size) if first + size < len(found) else None
        return ActionResult({"Activities": page, "NextToken": more})

    return describe_scaling_activities


def _complete_lifecycle_action(world: World) -> Callable[..., Any]:
    def complete_lifecycle_action(self: Any) -> ActionResult:
        result = self._get_param("LifecycleActionResult")
        if result not in ("CONTINUE", "ABANDON"):
            raise ValidationError(f"Lifecycle action result {result} is not CONTINUE or ABANDON")
        wait, _ = _waiting(world, self)
        wait.result = result
        return EmptyResult()

    return complete_lifecycle_action


def _record_heartbeat(world: World) -> Callable[..., Any]:
    def record_lifecycle_action_heartbeat(self: Any) -> ActionResult:
        wait, hook = _waiting(world, self)
        wait.deadline_s = world.clock.now() + hook.heartbeat_timeout
        return EmptyResult()

    return record_lifecycle_action_heartbeat


def _waiting(world: World, request: Any) -> tuple[Any, Any]:
    """The wait that a request names by instance or by token, and its hook."""
    backend = request.autoscaling_backend
    group_name = request._get_param("AutoScalingGroupName")
    hook_name = request._get_param("LifecycleHookName")
    ident = request._get_param("InstanceId")
    token = request._get_param("LifecycleActionToken")
    hook = backend.lifecycle_hooks.get(f"{group_name}_{hook_name}")
    group = backend.autoscaling_groups.get(group_name)
    for state in group.instance_states if hook and group else []:
        wait = member_of(world, state).waits.get(hook_name)
        if wait is None or wait.result is not None:
            continue
        if state.instance_id == ident or (token is not None and wait.token == token):
            return wait, hook
    named = f"instance ID {ident}" if ident else f"token {token}"
    raise ValidationError(f"No active Lifecycle Action found with {named}")
