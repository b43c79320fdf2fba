"""Target groups: where a load balancer sends requests, and how it knows who is healthy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.resource import Found, Making, Scope, as_list
from orchestrator.deploy.resources.elb_tags import PREFIX, in_scope, seal_elb
from orchestrator.deploy.resources.gone import unless
from orchestrator.deploy.settings import ALGORITHMS, MAX_SLOW_START_S, MIN_SLOW_START_S

Attributes = Mapping[str, str]
DELAY: Final = "deregistration_delay.timeout_seconds"
ALGORITHM: Final = "load_balancing.algorithm.type"
SLOW_START: Final = "slow_start.duration_seconds"
CUT: Final = "deregistration_delay.connection_termination.enabled"
CLIENT_IP: Final = "preserve_client_ip.enabled"
_MAX_DELAY_S: Final = 3600


def _seconds(low: int, high: int, *, off: bool = False) -> Callable[[str], bool]:
    return lambda text: text.isdigit() and (low <= int(text) <= high or (off and int(text) == 0))


_SWITCH: Final[Callable[[str], bool]] = lambda text: text in ("true", "false")  # noqa: E731 - a row
# An emulator takes any key and any value. Source: Elastic Load Balancing API reference,
# TargetGroupAttribute; those that are used here.
_KNOWN: Final[Mapping[str, Mapping[str, Callable[[str], bool]]]] = {
    "HTTP": {
        DELAY: _seconds(0, _MAX_DELAY_S),
        ALGORITHM: lambda text: text in ALGORITHMS,
        SLOW_START: _seconds(MIN_SLOW_START_S, MAX_SLOW_START_S, off=True),
    },
    "TCP": {DELAY: _seconds(0, _MAX_DELAY_S), CUT: _SWITCH, CLIENT_IP: _SWITCH},
}


class TargetGroup:
    """Spec: vpc, protocol (HTTP | TCP), port, health {path, interval_s, timeout_s, rise, fall},
    attributes. Its targets are instances. Its id is its ARN.
    """

    name = "target group"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        groups = aws.pages("elbv2", "describe_target_groups", "TargetGroups")
        things = [
            (one["TargetGroupArn"], {"protocol": one["Protocol"]})
            for one in groups
            if one["TargetGroupName"].startswith(PREFIX)
        ]
        return in_scope(aws, scope, self.name, things)

    def create(self, aws: Aws, making: Making) -> str:
        spec = making.spec
        refuse(str(making.key), spec)
        made = aws.call(
            "elbv2",
            "create_target_group",
            Name=making.title,
            Protocol=spec["protocol"],
            Port=spec["port"],
            VpcId=spec["vpc"],
            TargetType="instance",
            Tags=as_list(making.tags),
            **health_check(spec["health"]),
        )
        return str(made["TargetGroups"][0]["TargetGroupArn"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        spec = making.spec
        refuse(str(making.key), spec)
        aws.call(
            "elbv2", "modify_target_group", TargetGroupArn=ident, **health_check(spec["health"])
        )
        aws.call(
            "elbv2",
            "modify_target_group_attributes",
            TargetGroupArn=ident,
            Attributes=as_list(spec["attributes"]),
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_elb(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("TargetGroupNotFound"):
            aws.call("elbv2", "delete_target_group", TargetGroupArn=found.ident)


def health_check(health: Mapping[str, Any]) -> dict[str, Any]:
    """In the API's words, which are CloudFormation's, too."""
    return {
        "HealthCheckProtocol": "HTTP",
        "HealthCheckPort": "traffic-port",
        "HealthCheckPath": health["path"],
        "HealthCheckIntervalSeconds": health["interval_s"],
        "HealthCheckTimeoutSeconds": health["timeout_s"],
        "HealthyThresholdCount": health["rise"],
        "UnhealthyThresholdCount": health["fall"],
        "Matcher": {"HttpCode": "200"},
    }


def refuse(place: str, spec: Mapping[str, Any]) -> None:
    """Raises CloudError for what AWS would refuse."""
    known = _KNOWN[spec["protocol"]]
    attributes: Attributes = spec["attributes"]
    for key, value in attributes.items():
        if key not in known:
            raise CloudError(place, f"{key} is no attribute of a {spec['protocol']} target group")
        if not known[key](value):
            raise CloudError(place, f"{key} cannot be {value}")
    if attributes.get(SLOW_START, "0") != "0" and attributes.get(ALGORITHM) != "round_robin":
        raise CloudError(
            place, f"{attributes.get(ALGORITHM)} knows no slow start; round_robin does"
        )
    health = spec["health"]
    # Source: Elastic Load Balancing API reference, CreateTargetGroup.
    bounds = (("interval_s", 5, 300), ("timeout_s", 2, 120), ("rise", 2, 10), ("fall", 2, 10))
    for name, low, high in bounds:
        if not low <= health[name] <= high:
            raise CloudError(place, f"{name} {health[name]} is not from {low} to {high}")
    if health["timeout_s"] >= health["interval_s"]:
        raise CloudError(place, "a health check's timeout must be below its interval")
