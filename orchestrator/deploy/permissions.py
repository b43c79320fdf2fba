"""What the machines themselves may do: IAM policies of the worker's and the balancer's role."""

from __future__ import annotations

from typing import Any, Final

from services.contract import CLOUDWATCH_NAMESPACE, IMAGE_BALANCER, IMAGE_WORKER

# What SSM's agent needs for Run Command and sessions. Source: Systems Manager user guide, "Create
# a custom IAM role for Session Manager", and the managed policy AmazonSSMManagedInstanceCore,
# without its access to parameters and documents of others.
_AGENT: Final = [
    "ssm:UpdateInstanceInformation",
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
    "ec2messages:AcknowledgeMessage",
    "ec2messages:DeleteMessage",
    "ec2messages:FailMessage",
    "ec2messages:GetEndpoint",
    "ec2messages:GetMessages",
    "ec2messages:SendReply",
]
_PULL: Final = [
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetDownloadUrlForLayer",
]
_DRAINED: Final = [
    "autoscaling:CompleteLifecycleAction",
    "autoscaling:RecordLifecycleActionHeartbeat",
]
_WATCH: Final = [
    "autoscaling:DescribeAutoScalingGroups",
    "cloudwatch:GetMetricData",
    "ec2:DescribeInstances",
]


def worker_policy(region: str, account: str, log_group: str, groups: str) -> dict[str, Any]:
    """Pull the worker's image, write logs and metrics, answer SSM, end a drain of its group."""
    return _policy(_machine(region, account, log_group, groups, IMAGE_WORKER))


def balancer_policy(region: str, account: str, log_group: str, groups: str) -> dict[str, Any]:
    """The same for the balancer's image, and look for targets and their CPU."""
    statements = _machine(region, account, log_group, groups, IMAGE_BALANCER)
    return _policy([*statements, _allow(_WATCH)])  # describe calls know no resources


def _machine(
    region: str, account: str, log_group: str, groups: str, image: str
) -> list[dict[str, Any]]:
    """`groups` is the pattern of the names of the deployment's Auto Scaling groups."""
    group = (
        f"arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*:autoScalingGroupName/{groups}"
    )
    logs = f"arn:aws:logs:{region}:{account}:log-group:{log_group}:*"
    metrics = _allow(["cloudwatch:PutMetricData"])
    metrics["Condition"] = {"StringEquals": {"cloudwatch:namespace": CLOUDWATCH_NAMESPACE}}
    return [
        _allow(["ecr:GetAuthorizationToken"]),
        _allow(_PULL, f"arn:aws:ecr:{region}:{account}:repository/{image}"),
        _allow(["logs:CreateLogStream", "logs:PutLogEvents"], logs),
        metrics,
        _allow(_DRAINED, group),
        _allow(_AGENT),
    ]


def _allow(actions: list[str], resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": actions, "Resource": resource}


def _policy(statements: list[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": statements}
