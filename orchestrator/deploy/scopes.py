"""What a user's own permissions are narrowed to: which resources an action needs, under which tags.

The first row that fits an action counts. An action that fits none is asked for on every resource.
Source: Service Authorization Reference, the tables of resource types and condition keys.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from services.contract import PROJECT, TAG_PROJECT

Condition = Mapping[str, Mapping[str, str | list[str]]]
_NEW: Final[Condition] = {"StringEquals": {f"aws:RequestTag/{TAG_PROJECT}": PROJECT}}
_OURS: Final[Condition] = {"StringEquals": {f"aws:ResourceTag/{TAG_PROJECT}": PROJECT}}
_EC2: Final = "arn:aws:ec2:{region}:{account}:"
_ECR: Final = "arn:aws:ecr:{region}:{account}:repository/steelyard-*"
_IAM: Final = "arn:aws:iam::{account}:"
_ELB: Final = "arn:aws:elasticloadbalancing:{region}:{account}:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Rows of the table: actions by pattern, ARNs by pattern, a condition of the request."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...] = ("*",)
    condition: Condition = field(default_factory=dict)
    why: str = ""

    def holds(self, action: str) -> bool:
        """Whether the action is one of these."""
        return any(fnmatchcase(action, pattern) for pattern in self.actions)


# What no recording shows: AWS asks for these beside the action that was called, or the Docker
# engine makes the call. (action, why)
UNSEEN: Final = (
    ("iam:PassRole", "a launch template names an instance profile: its role is passed to EC2"),
    ("ec2:CreateTags", "tags in the very call that makes a thing are a second permission"),
    ("iam:CreateServiceLinkedRole", "the account's first Auto Scaling group or spot machine"),
    ("ecr:BatchCheckLayerAvailability", "the Docker engine, in images push"),
    ("ecr:InitiateLayerUpload", "the Docker engine, in images push"),
    ("ecr:UploadLayerPart", "the Docker engine, in images push"),
    ("ecr:CompleteLayerUpload", "the Docker engine, in images push"),
    ("ecr:PutImage", "the Docker engine, in images push"),
    ("ecr:BatchGetImage", "plan, for the architecture; the Docker engine, in images push"),
    ("ecr:GetDownloadUrlForLayer", "plan, for the architecture"),
    ("ecr:PutImageTagMutability", "images push, where a repository of ours was changed"),
    ("ecr:PutImageScanningConfiguration", "images push, where a repository of ours was changed"),
    ("iam:SimulatePrincipalPolicy", "plan, for this very list; without it: not checked"),
    ("iam:GetRole", "plan, where the keys are an assumed role's; and the proof of down"),
    ("ec2:DescribeKeyPairs", "plan, with ssh"),
    ("ec2:RevokeSecurityGroupIngress", "up, where access has changed"),
    ("ec2:CreateLaunchTemplateVersion", "up, where a cluster has changed"),
    ("ec2:ModifyLaunchTemplate", "up, where a cluster has changed"),
    ("elasticloadbalancing:DescribeTargetHealth", "the end of up, and status"),
    ("elasticloadbalancing:RegisterTargets", "up and roll, for balancers that are replaced"),
    ("elasticloadbalancing:SetSubnets", "up, where the subnets of a load balancer have changed"),
    ("elasticloadbalancing:SetSecurityGroups", "up, where they were changed by hand"),
    ("elasticloadbalancing:SetRulePriorities", "up, where they were changed by hand"),
    ("autoscaling:DeletePolicy", "up, where a cluster no longer scales"),
    ("autoscaling:DeleteScheduledAction", "up, where the time to live was taken away"),
    ("autoscaling:DescribeScheduledActions", "up, without a time to live"),
)

SCOPES: Final = (
    Scope(
        sid="PassTheMachinesRoles",
        actions=("iam:PassRole",),
        resources=(_IAM + "role/steelyard/{region}/*",),
        condition={"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    ),
    Scope(
        sid="ServiceLinkedRoles",
        actions=("iam:CreateServiceLinkedRole",),
        resources=(_IAM + "role/aws-service-role/*",),
        condition={
            "StringEquals": {
                "iam:AWSServiceName": [
                    "autoscaling.amazonaws.com",
                    "elasticloadbalancing.amazonaws.com",
                    "spot.amazonaws.com",
                ]
            }
        },
    ),
    Scope(
        sid="RolesOfTheMachines",
        actions=(
            "iam:*RolePolicy",
            "iam:*InstanceProfile",
            *("iam:CreateRole", "iam:DeleteRole", "iam:GetRole", "iam:TagRole", "iam:ListRoleTags"),
        ),
        resources=(
            _IAM + "role/steelyard/{region}/*",
            _IAM + "instance-profile/steelyard/{region}/*",
        ),
    ),
    Scope(
        sid="TagWhatIsMade",
        actions=("ec2:CreateTags",),
        resources=(_EC2 + "*/*",),
        condition=_NEW,
        why="as part of a creation",
    ),
    Scope(
        sid="MakeTagged",
        actions=("ec2:AllocateAddress", "ec2:CreateLaunchTemplate"),
        resources=(_EC2 + "elastic-ip/*", _EC2 + "launch-template/*"),
        condition=_NEW,
    ),
    Scope(
        sid="MakeSecurityGroups",
        actions=("ec2:CreateSecurityGroup",),
        resources=(_EC2 + "security-group/*", _EC2 + "vpc/*"),
        why="the VPC carries no tag of ours, so no condition can stand here",
    ),
    Scope(
        sid="RunMachines",
        actions=("ec2:RunInstances",),
        resources=(
            *(_EC2 + f"{kind}/*" for kind in ("instance", "volume", "network-interface")),
            *(_EC2 + f"{kind}/*" for kind in ("subnet", "security-group", "key-pair")),
            _EC2 + "launch-template/*",
            "arn:aws:ec2:{region}::image/*",
        ),
        why="subnets and images carry no tag of ours, so no condition can stand here",
    ),
    Scope(
        sid="AddressesOfMachines",
        actions=("ec2:AssociateAddress", "ec2:DisassociateAddress"),
        resources=(_EC2 + "elastic-ip/*", _EC2 + "instance/*", _EC2 + "network-interface/*"),
        why="the machine's network interface carries no tag of ours",
    ),
    Scope(
        sid="ChangeOwn",
        actions=(
            "ec2:*SecurityGroup*",
            "ec2:*LaunchTemplate*",
            *("ec2:ReleaseAddress", "ec2:TerminateInstances", "ec2:DeleteTags"),
        ),
        resources=tuple(
            _EC2 + f"{kind}/*"
            for kind in ("security-group", "launch-template", "elastic-ip", "instance")
        ),
        condition=_OURS,
    ),
    Scope(
        sid="Groups",
        actions=("autoscaling:*",),
        resources=(
            "arn:aws:autoscaling:{region}:{account}:autoScalingGroup:*"
            ":autoScalingGroupName/steelyard-*",
        ),
    ),
    Scope(
        sid="Logs",
        actions=("logs:*",),
        resources=("arn:aws:logs:{region}:{account}:log-group:/steelyard/*",),
    ),
    Scope(sid="Images", actions=("ecr:*",), resources=(_ECR,)),
    Scope(
        sid="ImageOfTheDay",
        actions=("ssm:GetParameter",),
        resources=("arn:aws:ssm:{region}::parameter/aws/service/ami-amazon-linux-latest/*",),
    ),
    Scope(
        sid="RunCommand",
        actions=("ssm:SendCommand", "ssm:StartSession"),
        resources=(_EC2 + "instance/*", "arn:aws:ssm:{region}::document/AWS-*"),
        why="its documents are AWS's own and carry no tag of ours",
    ),
    Scope(
        sid="LoadBalancers",
        actions=("elasticloadbalancing:*",),
        resources=tuple(
            _ELB + kind
            for kind in (
                "loadbalancer/*/steelyard-*",
                "targetgroup/steelyard-*",
                "listener/*/steelyard-*",
                "listener-rule/*/steelyard-*",
            )
        ),
    ),
    Scope(
        sid="Alarms",
        actions=("cloudwatch:*Alarm*", "cloudwatch:*Dashboard*", "cloudwatch:TagResource"),
        resources=(
            "arn:aws:cloudwatch:{region}:{account}:alarm:steelyard-*",
            "arn:aws:cloudwatch::{account}:dashboard/steelyard-*",
        ),
    ),
    Scope(
        sid="Topics",
        actions=("sns:*",),
        resources=("arn:aws:sns:{region}:{account}:steelyard-*",),
    ),
    Scope(
        sid="Budgets",
        actions=("budgets:*",),
        resources=("arn:aws:budgets::{account}:budget/steelyard-*",),
    ),
)
# Reading calls that know no resources, besides all that is called Describe in EC2 and its kin.
READS: Final = (
    *("ec2:Describe*", "autoscaling:Describe*", "elasticloadbalancing:Describe*"),
    *("cloudwatch:DescribeAlarms", "cloudwatch:Get*", "cloudwatch:List*", "logs:DescribeLogGroups"),
    *("ecr:GetAuthorizationToken", "iam:ListRoles", "iam:ListInstanceProfiles"),
    *("iam:SimulatePrincipalPolicy", "servicequotas:GetServiceQuota", "sns:ListTopics"),
    *("budgets:ViewBudget",),
    *("ssm:Describe*", "ssm:GetCommandInvocation", "ssm:ListCommand*", "tag:GetResources"),
)
EVERYWHERE: Final = Scope(sid="Look", actions=READS)
NOT_SCOPED: Final = Scope(sid="NotScoped", actions=("*",), why="to be narrowed")
