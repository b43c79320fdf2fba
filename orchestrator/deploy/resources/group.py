"""Auto Scaling groups: a cluster's machines."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope, as_dict, found
from orchestrator.deploy.resources.gone import unless
from services.contract import TAG_SPEC

SCALING_POLICY = "cpu"
HEALTH_GRACE_S = 300
GROUP_METRICS = ("GroupDesiredCapacity",)  # an alarm compares it with the healthy hosts
GRANULARITY = "1Minute"  # there is no other
ENDING = "autoscaling:EC2_INSTANCE_TERMINATING"


class Group:
    """Spec: template, subnets, min, max, desired, tags, scaling {cpu_percent, cooldown_s}, ttl_s,
    hooks {name: seconds} before a machine ends, target_groups that its machines are in.

    Its id is its name. The number of machines is the group's own between min and max: a repeated
    `up` leaves what the scaling policy decided.
    """

    name = "group"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        groups = aws.pages(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            Filters=scope.filters,
        )
        return [
            found(
                self.name,
                g["AutoScalingGroupName"],
                as_dict(g.get("Tags")),
                {
                    "desired": g["DesiredCapacity"],
                    "in_service": sum(i["LifecycleState"] == "InService" for i in g["Instances"]),
                    "deleting": "Status" in g,
                },
            )
            for g in groups
        ]

    def create(self, aws: Aws, making: Making) -> str:
        spec = making.spec
        tags = {**making.tags, **spec["tags"]}
        with unless("AlreadyExists"):
            aws.call(
                "autoscaling",
                "create_auto_scaling_group",
                AutoScalingGroupName=making.title,
                DesiredCapacity=spec["desired"],
                HealthCheckType="EC2",
                HealthCheckGracePeriod=HEALTH_GRACE_S,
                Tags=[
                    _tag(making.title, key, value, at_launch=True) for key, value in tags.items()
                ],
                TargetGroupARNs=spec["target_groups"],
                **_shape(making),
            )
        return making.title

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        spec = making.spec
        (group,) = aws.call(
            "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[ident]
        )["AutoScalingGroups"]
        desired = min(max(group["DesiredCapacity"], spec["min"]), spec["max"])
        aws.call(
            "autoscaling",
            "update_auto_scaling_group",
            AutoScalingGroupName=ident,
            DesiredCapacity=desired,
            **_shape(making),
        )
        aws.call(
            "autoscaling",
            "enable_metrics_collection",
            AutoScalingGroupName=ident,
            Granularity=GRANULARITY,
            Metrics=list(GROUP_METRICS),
        )
        self._attach(aws, ident, set(group.get("TargetGroupARNs", ())), set(spec["target_groups"]))
        self._hook(aws, ident, spec["hooks"])
        self._scale_by_cpu(aws, ident, spec["scaling"])
        self._end_in_time(aws, ident, making)

    def _attach(self, aws: Aws, ident: str, has: set[str], wants: set[str]) -> None:
        """An update of the group says nothing of target groups."""
        for arns, operation in (
            (wants - has, "attach_load_balancer_target_groups"),
            (has - wants, "detach_load_balancer_target_groups"),
        ):
            if arns:
                aws.call(
                    "autoscaling",
                    operation,
                    AutoScalingGroupName=ident,
                    TargetGroupARNs=sorted(arns),
                )

    def _hook(self, aws: Aws, ident: str, hooks: dict[str, int]) -> None:
        """Before a machine ends, the group waits for its word, or for so many seconds."""
        for name, timeout_s in hooks.items():
            aws.call(
                "autoscaling",
                "put_lifecycle_hook",
                AutoScalingGroupName=ident,
                LifecycleHookName=name,
                LifecycleTransition=ENDING,
                HeartbeatTimeout=timeout_s,
                DefaultResult="CONTINUE",
            )

    def _scale_by_cpu(self, aws: Aws, ident: str, scaling: dict[str, Any] | None) -> None:
        if scaling is None:
            has = aws.call("autoscaling", "describe_policies", AutoScalingGroupName=ident)
            if any(p["PolicyName"] == SCALING_POLICY for p in has["ScalingPolicies"]):
                aws.call(
                    "autoscaling",
                    "delete_policy",
                    AutoScalingGroupName=ident,
                    PolicyName=SCALING_POLICY,
                )
            return
        aws.call(
            "autoscaling",
            "put_scaling_policy",
            AutoScalingGroupName=ident,
            PolicyName=SCALING_POLICY,
            PolicyType="TargetTrackingScaling",
            # Target tracking takes no cool-down: a new machine's warm-up stands for it.
            EstimatedInstanceWarmup=scaling["cooldown_s"],
            TargetTrackingConfiguration={
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ASGAverageCPUUtilization"
                },
                "TargetValue": float(scaling["cpu_percent"]),
            },
        )

    def _end_in_time(self, aws: Aws, ident: str, making: Making) -> None:
        """Machines that end themselves would be replaced: the group goes to zero, too."""
        ttl_s = making.spec["ttl_s"]
        name = f"{ident}-time-to-live"  # unique by itself: moto keeps one of a name in all groups
        if ttl_s is None:
            has = aws.call("autoscaling", "describe_scheduled_actions", AutoScalingGroupName=ident)
            if any(a["ScheduledActionName"] == name for a in has["ScheduledUpdateGroupActions"]):
                aws.call(
                    "autoscaling",
                    "delete_scheduled_action",
                    AutoScalingGroupName=ident,
                    ScheduledActionName=name,
                )
            return
        aws.call(
            "autoscaling",
            "put_scheduled_update_group_action",
            AutoScalingGroupName=ident,
            ScheduledActionName=name,
            StartTime=datetime.fromtimestamp(making.now_s + ttl_s, UTC),
            MinSize=0,
            MaxSize=0,
            DesiredCapacity=0,
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        tag = _tag(ident, TAG_SPEC, digest, at_launch=False)
        aws.call("autoscaling", "create_or_update_tags", Tags=[tag])

    def delete(self, aws: Aws, found: Found) -> None:
        if found.about["deleting"]:
            return
        with unless("ValidationError"):  # not found, in this service's words
            aws.call(
                "autoscaling",
                "delete_auto_scaling_group",
                AutoScalingGroupName=found.ident,
                ForceDelete=True,  # ends the machines without waiting for hooks
            )

    def empty(self, aws: Aws, found: Found) -> None:
        """To zero and without hooks, so that nothing comes back."""
        hooks = aws.call(
            "autoscaling", "describe_lifecycle_hooks", AutoScalingGroupName=found.ident
        )["LifecycleHooks"]
        for hook in hooks:
            aws.call(
                "autoscaling",
                "delete_lifecycle_hook",
                AutoScalingGroupName=found.ident,
                LifecycleHookName=hook["LifecycleHookName"],
            )
        with unless("ValidationError"):
            aws.call(
                "autoscaling",
                "update_auto_scaling_group",
                AutoScalingGroupName=found.ident,
                MinSize=0,
                MaxSize=0,
                DesiredCapacity=0,
            )


def _shape(making: Making) -> dict[str, Any]:
    spec = making.spec
    return {
        "LaunchTemplate": {"LaunchTemplateId": spec["template"], "Version": "$Default"},
        "MinSize": spec["min"],
        "MaxSize": spec["max"],
        "VPCZoneIdentifier": ",".join(spec["subnets"]),
    }


def _tag(group: str, key: str, value: str, *, at_launch: bool) -> dict[str, Any]:
    return {
        "ResourceId": group,
        "ResourceType": "auto-scaling-group",
        "Key": key,
        "Value": value,
        "PropagateAtLaunch": at_launch,
    }
