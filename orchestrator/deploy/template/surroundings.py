"""What machines stand in: logs, networks, identities."""

from __future__ import annotations

from typing import Any

from orchestrator.deploy.resources.identity import INLINE_POLICY, TRUST
from orchestrator.deploy.resources.network import ITSELF
from orchestrator.deploy.template.entry import Entry, Resources, attribute, tag_list
from services.contract import PROJECT


def log_group(entry: Entry) -> Resources:
    """Deleted with the stack, as `down` does."""
    properties = {
        "LogGroupName": entry.spec["name"],
        "RetentionInDays": entry.spec["days"],
        "Tags": tag_list(entry.tags),
    }
    return {
        entry.logical: {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": properties,
        }
    }


def security_group(entry: Entry) -> Resources:
    """With its rules in it, but for those that name the group itself."""
    rules = entry.spec["ingress"]
    properties = {
        "GroupName": entry.title,
        "GroupDescription": entry.spec["about"],
        "VpcId": entry.spec["vpc"],
        "SecurityGroupIngress": [_rule(r) for r in rules if r.get("group") != ITSELF],
        "Tags": tag_list(entry.tags),
    }
    resources = {entry.logical: {"Type": "AWS::EC2::SecurityGroup", "Properties": properties}}
    own = attribute(entry.logical, "GroupId")
    for number, rule in enumerate(r for r in rules if r.get("group") == ITSELF):
        resources[f"{entry.logical}Itself{number or ''}"] = {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {"GroupId": own, **_rule(rule | {"group": own})},
        }
    return resources


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    source = (
        {"CidrIp": rule["cidr"]} if "cidr" in rule else {"SourceSecurityGroupId": rule["group"]}
    )
    protocol, port = rule.get("protocol", "tcp"), rule["port"]
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": port, **source}


def _path(entry: Entry) -> str:
    return f"/{PROJECT}/{entry.region}/{entry.scope.deployment}/"


def role(entry: Entry) -> Resources:
    """The machines' role; its name makes the stack ask for CAPABILITY_NAMED_IAM."""
    properties = {
        "RoleName": f"{entry.title}-{entry.region}",
        "Path": _path(entry),
        "AssumeRolePolicyDocument": TRUST,
        "Policies": [{"PolicyName": INLINE_POLICY, "PolicyDocument": entry.spec["policy"]}],
        "Tags": tag_list(entry.tags),
    }
    return {entry.logical: {"Type": "AWS::IAM::Role", "Properties": properties}}


def profile(entry: Entry) -> Resources:
    """CloudFormation gives it no tags."""
    properties = {
        "InstanceProfileName": f"{entry.title}-{entry.region}",
        "Path": _path(entry),
        "Roles": [entry.spec["role"]],
    }
    return {entry.logical: {"Type": "AWS::IAM::InstanceProfile", "Properties": properties}}
