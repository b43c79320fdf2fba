"""The template is what `up` builds, and CloudFormation's linter has nothing to say to it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest
from cfnlint.api import ConfigMixIn, RulesCollection, Runner, lint

from orchestrator.deploy.desired import desire
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.load import parse
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.settings import PRESETS, Deployment
from orchestrator.deploy.template.document import WRITTEN, as_json, as_yaml, document
from services.contract import IMAGE_BALANCER, IMAGE_WORKER

REGION = "eu-west-1"
NOW_S = 1_760_000_000.0
SUBNETS = ("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
_HOST = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


SIGNALS = "alarms: {email: a@example.org}\nbudget: {usd_month: 20, email: a@example.org}\n"


def deployment(preset: str = "eight", region: str = REGION, more: str = "") -> Deployment:
    text = f"name: demo\nregion: {region}\npreset: {preset}\naccess: [0.0.0.0/0]\n{more}"
    return parse(text.encode())


def facts(of: Deployment) -> Facts:
    """Of an account where nothing is missing."""
    types = [of.balancer.type, *(cluster.type for cluster in of.clusters)]
    return Facts(
        account="123456789012",
        vpc="vpc-0123456789abcdef0",
        subnets=SUBNETS,
        front_subnets=SUBNETS,
        subnets_of=dict.fromkeys(types, SUBNETS),
        amis=dict.fromkeys(of.architectures, "ami-0123456789abcdef0"),
        images={n: f"{_HOST}/{n}@sha256:{'0' * 64}" for n in (IMAGE_WORKER, IMAGE_BALANCER)},
        address="203.0.113.7" if of.ssh else None,
    )


def template(of: Deployment) -> dict[str, Any]:
    return document(of, desire(of, facts(of)), NOW_S)


def resources(made: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [one["Properties"] for one in made["Resources"].values() if one["Type"] == kind]


@cache
def rules() -> RulesCollection:
    """Loading them is most of a test's time otherwise."""
    return Runner(ConfigMixIn(regions=[REGION])).rules


def told(text: str, region: str = REGION) -> list[str]:
    matches = lint(text, rules(), regions=[region])
    return [f"{match.rule.id} {match.message}" for match in matches]


@pytest.mark.parametrize(
    ("preset", "region"), [*((preset, REGION) for preset in PRESETS), ("pair", "us-east-1")]
)
def test_the_linter_has_nothing_to_say(preset: str, region: str) -> None:
    of = deployment(preset, region, "ttl: 4h\n")
    assert told(as_yaml(template(of)), region) == []


def test_with_all_that_is_off_by_default() -> None:
    more = "ssh: {key_pair: mine}\nbalancer: {type: t4g.small}\n" + SIGNALS
    made = template(deployment(more=more))
    assert told(as_json(made)) == []
    assert set(made["Parameters"]) == {"ImageX8664", "ImageArm64"}


@pytest.mark.parametrize(
    ("front", "load_balancers"),
    [
        ("front: alb\n", {"alb": "application"}),
        ("balancer: {count: 2}\n", {"nlb": "network"}),
        ("front: both\nbalancer: {count: 2}\n", {"alb": "application", "nlb": "network"}),
        ("front: both\n", {"alb": "application"}),
    ],
)
def test_every_front(front: str, load_balancers: dict[str, str]) -> None:
    made = template(deployment("pair", more=front))
    assert told(as_yaml(made)) == []
    found = resources(made, "AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert {one["Name"]: one["Type"] for one in found} == {
        f"steelyard-demo-{name}": kind for name, kind in load_balancers.items()
    }
    behind = [
        one["TargetGroupARNs"]
        for one in resources(made, "AWS::AutoScaling::AutoScalingGroup")
        if "TargetGroupARNs" in one
    ]
    assert len(behind) == len(resources(made, "AWS::ElasticLoadBalancingV2::TargetGroup"))
    own = resources(made, "AWS::EC2::SecurityGroupIngress")
    assert [one["FromPort"] for one in own] == [9901] * ("nlb" in load_balancers)
    assert all(one["GroupId"] == one["SourceSecurityGroupId"] for one in own)
    outputs = made["Outputs"]
    for name in load_balancers:
        assert f"LoadBalancer{name.capitalize()}Url" in outputs


def test_the_linter_would_say_it() -> None:
    made = template(deployment())
    made["Resources"]["GroupCluster1"]["Properties"]["MinSize"] = "many"
    made["Resources"]["InstanceBalancer"]["Properties"]["SubnetId"] = {"Ref": "Nothing"}
    codes = {line.split()[0] for line in told(as_yaml(made))}
    assert "E1020" in codes  # a reference to nothing
    assert len(codes) > 1


def test_it_says_what_up_makes() -> None:
    made = template(deployment("scaling", more="ttl: 4h\n"))
    groups = resources(made, "AWS::AutoScaling::AutoScalingGroup")
    assert [g["AutoScalingGroupName"] for g in groups] == [
        "steelyard-demo-cluster1",
        "steelyard-demo-cluster2",
    ]
    assert {(g["MinSize"], g["MaxSize"], g["DesiredCapacity"]) for g in groups} == {("0", "3", "1")}
    assert groups[0]["LaunchTemplate"]["LaunchTemplateId"] == {"Ref": "LaunchTemplateCluster1"}
    tags = {tag["Key"]: tag["Value"] for tag in groups[0]["Tags"]}
    assert tags["steelyard:deployment"] == "demo"
    assert tags["steelyard:cluster"] == "cluster1"
    assert len(resources(made, "AWS::AutoScaling::ScalingPolicy")) == 2
    ends = resources(made, "AWS::AutoScaling::ScheduledAction")
    assert [end["StartTime"] for end in ends] == [{"Ref": "GroupsEndAt"}] * 2
    assert made["Parameters"]["GroupsEndAt"]["Default"] == "2025-10-09T12:53:20Z"
    data = resources(made, "AWS::EC2::LaunchTemplate")[0]["LaunchTemplateData"]
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["ImageId"] == {"Ref": "ImageX8664"}
    assert data["UserData"]["Fn::Base64"].startswith("#!/bin/bash")
    workers = resources(made, "AWS::EC2::SecurityGroup")[1]
    assert workers["SecurityGroupIngress"][0]["SourceSecurityGroupId"] == {
        "Fn::GetAtt": ["SecurityGroupFront", "GroupId"]
    }


def test_yaml_and_json_are_the_same() -> None:
    made = template(deployment())
    assert json.loads(as_json(made)) == made
    assert "|" in as_yaml(made), "user data is readable"


def test_there_are_words_for_every_kind() -> None:
    assert set(WRITTEN) == set(BY_NAME)
