"""Is it there? Asked by id, so that the answer does not hang on tags."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError

# kind: service, operation, parameter that takes the id (a list where the name is plural), answer
_LOOKS: Final = {
    "security group": ("ec2", "describe_security_groups", "GroupIds", "SecurityGroups"),
    "role": ("iam", "get_role", "RoleName", "Role"),
    "instance profile": ("iam", "get_instance_profile", "InstanceProfileName", "InstanceProfile"),
    "launch template": (
        "ec2",
        "describe_launch_templates",
        "LaunchTemplateIds",
        "LaunchTemplates",
    ),
    "group": (
        "autoscaling",
        "describe_auto_scaling_groups",
        "AutoScalingGroupNames",
        "AutoScalingGroups",
    ),
    "address": ("ec2", "describe_addresses", "AllocationIds", "Addresses"),
    "instance": ("ec2", "describe_instances", "InstanceIds", "Reservations"),
    "topic": ("sns", "get_topic_attributes", "TopicArn", "Attributes"),
    "alarm": ("cloudwatch", "describe_alarms", "AlarmNames", "MetricAlarms"),
    "dashboard": ("cloudwatch", "get_dashboard", "DashboardName", "DashboardName"),
    "budget": ("budgets", "describe_budget", "BudgetName", "Budget"),
    "target group": (
        "elbv2",
        "describe_target_groups",
        "TargetGroupArns",
        "TargetGroups",
    ),
    "load balancer": (
        "elbv2",
        "describe_load_balancers",
        "LoadBalancerArns",
        "LoadBalancers",
    ),
    "listener": ("elbv2", "describe_listeners", "ListenerArns", "Listeners"),
    "rule": ("elbv2", "describe_rules", "RuleArns", "Rules"),
    "log group": ("logs", "describe_log_groups", "logGroupNamePrefix", "logGroups"),
}


def exists(aws: Aws, kind: str, ident: str) -> bool:
    """Whether AWS knows it; a terminated instance does not count.

    Errors:
        CloudError: AWS refused to say.
    """
    service, operation, parameter, key = _LOOKS[kind]
    if kind == "log group":
        ident = ident.partition(":log-group:")[2]
    more: dict[str, Any] = {}
    if kind == "budget":
        more["AccountId"], _, ident = ident.partition("/")
    more[parameter] = [ident] if parameter.endswith("s") else ident
    try:
        answer = aws.call(service, operation, **more)[key]
    except CloudError as error:
        if "NotFound" in error.code or error.code == "NoSuchEntity":
            return False
        raise
    if kind == "instance":
        states = [one["State"]["Name"] for r in answer for one in r["Instances"]]
        return any(state != "terminated" for state in states)
    if kind == "log group":
        return any(group["logGroupName"] == ident for group in answer)
    return bool(answer)
