"""Machines and how they are made."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.deploy.machines import TYPES, Architecture
from orchestrator.deploy.resources.group import ENDING, GRANULARITY, GROUP_METRICS, HEALTH_GRACE_S
from orchestrator.deploy.resources.template import template_data
from orchestrator.deploy.template.entry import Entry, Resources, attribute, ref, tag_list
from services.contract import TAG_BEGUN

ENDS_AT: Final = "GroupsEndAt"  # a parameter: when the time to live takes the groups to zero


def image_parameter(architecture: Architecture) -> str:
    """The parameter that holds the machine image for an architecture."""
    return "Image" + architecture.replace("_", "").capitalize()


def launch_template(entry: Entry) -> Resources:
    """The image comes from a parameter, which asks SSM whenever the stack is updated."""
    image = ref(image_parameter(TYPES[entry.spec["type"]].architecture))
    data = template_data({**entry.spec, "ami": image}, entry.tags, entry.digest)
    data["UserData"] = {"Fn::Base64": entry.spec["user_data"]}
    properties = {
        "LaunchTemplateName": entry.title,
        "LaunchTemplateData": data,
        "TagSpecifications": [
            {"ResourceType": "launch-template", "Tags": tag_list(entry.tags)},
        ],
    }
    return {entry.logical: {"Type": "AWS::EC2::LaunchTemplate", "Properties": properties}}


def _version(template: dict[str, str]) -> dict[str, Any]:
    """A group takes no `$Default` from a template."""
    version = attribute(template["Ref"], "LatestVersionNumber")
    return {"LaunchTemplateId": template, "Version": version}


def group(entry: Entry) -> Resources:
    """The group, its target tracking, and its end in time."""
    spec = entry.spec
    tags = {**entry.tags, **spec["tags"]}
    hooks = [
        {
            "LifecycleHookName": name,
            "LifecycleTransition": ENDING,
            "HeartbeatTimeout": timeout_s,
            "DefaultResult": "CONTINUE",
        }
        for name, timeout_s in spec["hooks"].items()
    ]
    properties = {
        "AutoScalingGroupName": entry.title,
        "LaunchTemplate": _version(spec["template"]),
        # CloudFormation takes numbers as text here.
        "MinSize": str(spec["min"]),
        "MaxSize": str(spec["max"]),
        "DesiredCapacity": str(spec["desired"]),
        "VPCZoneIdentifier": spec["subnets"],
        "HealthCheckType": "EC2",
        "HealthCheckGracePeriod": HEALTH_GRACE_S,
        "LifecycleHookSpecificationList": hooks,
        "MetricsCollection": [{"Granularity": GRANULARITY, "Metrics": list(GROUP_METRICS)}],
        "Tags": [{**tag, "PropagateAtLaunch": True} for tag in tag_list(tags)],
    }
    if spec["target_groups"]:
        properties["TargetGroupARNs"] = spec["target_groups"]
    made: Resources = {
        entry.logical: {"Type": "AWS::AutoScaling::AutoScalingGroup", "Properties": properties}
    }
    if spec["scaling"]:
        made[entry.logical + "Scaling"] = _scaling(entry)
    if spec["ttl_s"] is not None:
        made[entry.logical + "End"] = {
            "Type": "AWS::AutoScaling::ScheduledAction",
            "Properties": {
                "AutoScalingGroupName": ref(entry.logical),
                "StartTime": ref(ENDS_AT),
                "MinSize": 0,
                "MaxSize": 0,
                "DesiredCapacity": 0,
            },
        }
    return made


def _scaling(entry: Entry) -> dict[str, Any]:
    scaling = entry.spec["scaling"]
    return {
        "Type": "AWS::AutoScaling::ScalingPolicy",
        "Properties": {
            "AutoScalingGroupName": ref(entry.logical),
            "PolicyType": "TargetTrackingScaling",
            "EstimatedInstanceWarmup": scaling["cooldown_s"],
            "TargetTrackingConfiguration": {
                "PredefinedMetricSpecification": {
                    "PredefinedMetricType": "ASGAverageCPUUtilization"
                },
                "TargetValue": scaling["cpu_percent"],
            },
        },
    }


def address(entry: Entry) -> Resources:
    """An Elastic IP."""
    properties = {"Domain": "vpc", "Tags": tag_list(entry.tags)}
    return {entry.logical: {"Type": "AWS::EC2::EIP", "Properties": properties}}


def instance(entry: Entry) -> Resources:
    """The balancer's machine, and its address, which is bound by a resource of its own."""
    spec = entry.spec
    tags = {**entry.tags, TAG_BEGUN: entry.digest}
    properties = {
        "LaunchTemplate": _version(spec["template"]),
        "SubnetId": spec["subnet"],
        "PropagateTagsToVolumeOnCreation": True,
        "Tags": tag_list(tags),
    }
    bound = {"AllocationId": spec["address"], "InstanceId": ref(entry.logical)}
    return {
        entry.logical: {"Type": "AWS::EC2::Instance", "Properties": properties},
        entry.logical + "Address": {"Type": "AWS::EC2::EIPAssociation", "Properties": bound},
    }
