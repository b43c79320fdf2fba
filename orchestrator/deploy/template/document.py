"""The whole template, as data and as text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import yaml

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.facts import AMI_PARAMETER
from orchestrator.deploy.resource import Scope, Wanted
from orchestrator.deploy.settings import Deployment
from orchestrator.deploy.template import fronts, machines, surroundings, watching
from orchestrator.deploy.template.entry import Entry, Resources, entries

# What create-stack takes in the call itself; a larger one goes through S3, 1 MB at most.
# Source: CloudFormation user guide, "Understand CloudFormation quotas".
MAX_INLINE_BYTES: Final = 51_200

WRITTEN: Final[dict[str, Callable[[Entry], Resources]]] = {
    "log group": surroundings.log_group,
    "security group": surroundings.security_group,
    "role": surroundings.role,
    "instance profile": surroundings.profile,
    "launch template": machines.launch_template,
    "target group": fronts.target_group,
    "load balancer": fronts.load_balancer,
    "listener": fronts.listener,
    "rule": fronts.rule,
    "group": machines.group,
    "address": machines.address,
    "instance": machines.instance,
    "topic": watching.topic,
    "alarm": watching.alarm,
    "dashboard": watching.dashboard,
    "budget": watching.budget,
}


def document(deployment: Deployment, wanted: Iterable[Wanted], now_s: float) -> dict[str, Any]:
    """The template. `now_s` (since the epoch) is what a time to live is counted from.

    Errors:
        CloudError: a kind of thing that no template is written for.
    """
    things = entries(wanted, Scope(deployment.name), deployment.region)
    resources: Resources = {}
    for thing in things:
        write = WRITTEN.get(thing.key.kind)
        if write is None:
            raise CloudError(str(thing.key), "the template has no words for it")
        resources |= write(thing)
    made: dict[str, Any] = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Steelyard {deployment.name} in {deployment.region}",
        "Parameters": _parameters(deployment, now_s),
        "Resources": resources,
    }
    outputs = {
        f"{thing.logical}Url": {"Value": {"Fn::Sub": f"http://${{{thing.logical}.{what}}}/"}}
        for thing in things
        if (what := _PUBLIC.get(thing.key.kind))
    }
    return made | ({"Outputs": outputs} if outputs else {})


_PUBLIC: Final = {"address": "PublicIp", "load balancer": "DNSName"}


def _parameters(deployment: Deployment, now_s: float) -> dict[str, Any]:
    made: dict[str, Any] = {
        machines.image_parameter(architecture): {
            "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
            "Default": AMI_PARAMETER.format(architecture),
            "Description": f"AL2023 for {architecture}",
        }
        for architecture in deployment.architectures
    }
    if deployment.ttl is not None:
        ends = datetime.fromtimestamp(now_s + deployment.ttl, UTC)
        made[machines.ENDS_AT] = {
            "Type": "String",
            "Default": ends.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "Description": "when the groups go to zero; counted from the writing of this template",
        }
    return made


class _Dumper(yaml.SafeDumper):
    """Text of several lines stays readable; nothing is an alias."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def as_json(made: dict[str, Any]) -> str:
    """For machines."""
    return json.dumps(made, indent=2) + "\n"


def as_yaml(made: dict[str, Any]) -> str:
    """For readers; intrinsic functions in their long form."""
    return yaml.dump(made, Dumper=_Dumper, sort_keys=False, width=100)
