"""Whether an instance of a group is ill, by EC2 and by the load balancers that know it."""

from __future__ import annotations

from typing import Any

from orchestrator.localcloud.world import World


def suspended(group: Any, process: str) -> bool:
    """A process of the group, by AWS's name, that somebody has switched off."""
    return any(one["ProcessName"] == process for one in group.suspended_processes)


def illness(world: World, group: Any, state: Any, in_service_s: float | None) -> str | None:
    """Why an instance must be replaced, in AWS's words; None: it needn't.

    A load balancer's word counts once the grace period after `in_service_s` is over.
    """
    if suspended(group, "ReplaceUnhealthy"):
        return None
    if state.health_status == "Unhealthy":
        return "in response to a user health-check"
    if suspended(group, "HealthCheck"):
        return None
    if state.instance.state not in ("pending", "running"):
        return f"in response to an EC2 health check indicating it is {state.instance.state}"
    grace_s = group.health_check_grace_period or 0
    settled = in_service_s is not None and world.clock.now() >= in_service_s + grace_s
    asks = "ELB" in group.health_check_type and settled
    if asks and "unhealthy" in target_health(world, group, state):
        return "in response to an ELB system health check failure"
    return None


def target_groups(world: World, group: Any) -> list[Any]:
    """moto's target groups that an Auto Scaling group is attached to, those deleted left out."""
    known = world.backend("elbv2").target_groups
    return [known[arn] for arn in group.target_group_arns if arn in known]


def target_health(world: World, group: Any, state: Any) -> set[str]:
    """What the target groups say of an instance: `initial`, `healthy`, `draining`, ..."""
    backend = world.backend("elbv2")
    return {
        health.status
        for target_group in target_groups(world, group)
        for health in backend.describe_target_health(target_group.arn, [{"Id": state.instance_id}])
    }
