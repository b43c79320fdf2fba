"""Load balancers and where they send requests."""

from __future__ import annotations

from orchestrator.deploy.resources.listener import action, on_paths
from orchestrator.deploy.resources.target_group import health_check, refuse
from orchestrator.deploy.template.entry import Entry, Resources, tag_list


def load_balancer(entry: Entry) -> Resources:
    """Of either type."""
    spec = entry.spec
    properties = {
        "Name": entry.title,
        "Type": spec["type"],
        "Scheme": "internet-facing",
        "IpAddressType": "ipv4",
        "Subnets": spec["subnets"],
        "SecurityGroups": spec["groups"],
        "LoadBalancerAttributes": tag_list(spec["attributes"]),
        "Tags": tag_list(entry.tags),
    }
    kind = "AWS::ElasticLoadBalancingV2::LoadBalancer"
    return {entry.logical: {"Type": kind, "Properties": properties}}


def target_group(entry: Entry) -> Resources:
    """Raises CloudError for what AWS would refuse."""
    spec = entry.spec
    refuse(str(entry.key), spec)
    properties = {
        "Name": entry.title,
        "Protocol": spec["protocol"],
        "Port": spec["port"],
        "VpcId": spec["vpc"],
        "TargetType": "instance",
        **health_check(spec["health"]),
        "TargetGroupAttributes": tag_list(spec["attributes"]),
        "Tags": tag_list(entry.tags),
    }
    kind = "AWS::ElasticLoadBalancingV2::TargetGroup"
    return {entry.logical: {"Type": kind, "Properties": properties}}


def listener(entry: Entry) -> Resources:
    """CloudFormation takes no tags here."""
    spec = entry.spec
    properties = {
        "LoadBalancerArn": spec["load_balancer"],
        "Protocol": spec["protocol"],
        "Port": spec["port"],
        "DefaultActions": [action(spec)],
    }
    kind = "AWS::ElasticLoadBalancingV2::Listener"
    return {entry.logical: {"Type": kind, "Properties": properties}}


def rule(entry: Entry) -> Resources:
    """Nor here."""
    spec = entry.spec
    properties = {
        "ListenerArn": spec["listener"],
        "Priority": spec["priority"],
        "Conditions": [on_paths(spec["paths"])],
        "Actions": [action(spec)],
    }
    kind = "AWS::ElasticLoadBalancingV2::ListenerRule"
    return {entry.logical: {"Type": kind, "Properties": properties}}
