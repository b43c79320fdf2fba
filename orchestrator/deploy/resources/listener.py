"""Listeners of load balancers, and an application load balancer's rules by path."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.resource import Found, Making, Scope, as_list
from orchestrator.deploy.resources.elb_tags import in_scope, seal_elb
from orchestrator.deploy.resources.gone import unless
from orchestrator.deploy.resources.load_balancer import LoadBalancer

# Source: Elastic Load Balancing user guide, "Quotas" and "Rule priority".
_MAX_VALUES: Final = 5
_MAX_PATH: Final = 128
_MAX_PRIORITY: Final = 50_000


class Listener:
    """Spec: load_balancer, protocol, port, and what no rule holds for: `forward` to a target group,
    or `respond` {status, text}. Its id is its ARN.
    """

    name = "listener"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        things = []
        for balancer in LoadBalancer().find(aws, scope):
            with unless("LoadBalancerNotFound"):
                things += [
                    (one["ListenerArn"], {"port": one["Port"]})
                    for one in aws.pages(
                        "elbv2",
                        "describe_listeners",
                        "Listeners",
                        LoadBalancerArn=balancer.ident,
                    )
                ]
        return in_scope(aws, scope, self.name, things)

    def create(self, aws: Aws, making: Making) -> str:
        made = aws.call(
            "elbv2",
            "create_listener",
            LoadBalancerArn=making.spec["load_balancer"],
            Tags=as_list(making.tags),
            **_shape(making.spec),
        )
        return str(made["Listeners"][0]["ListenerArn"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        aws.call("elbv2", "modify_listener", ListenerArn=ident, **_shape(making.spec))

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_elb(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("ListenerNotFound"):
            aws.call("elbv2", "delete_listener", ListenerArn=found.ident)


class Rule:
    """Spec: listener, priority, paths (patterns), forward. Its id is its ARN."""

    name = "rule"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        things = []
        for listener in Listener().find(aws, scope):
            with unless("ListenerNotFound"):
                rules = aws.pages("elbv2", "describe_rules", "Rules", ListenerArn=listener.ident)
                # The default belongs to its listener, and bears no tags of its own.
                things += [
                    (one["RuleArn"], {"priority": one["Priority"]})
                    for one in rules
                    if not one["IsDefault"]
                ]
        return in_scope(aws, scope, self.name, things)

    def create(self, aws: Aws, making: Making) -> str:
        spec = making.spec
        _refuse(str(making.key), spec)
        made = aws.call(
            "elbv2",
            "create_rule",
            ListenerArn=spec["listener"],
            Priority=spec["priority"],
            Conditions=[on_paths(spec["paths"])],
            Actions=[action(spec)],
            Tags=as_list(making.tags),
        )
        return str(made["Rules"][0]["RuleArn"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        spec = making.spec
        _refuse(str(making.key), spec)
        aws.call(
            "elbv2",
            "modify_rule",
            RuleArn=ident,
            Conditions=[on_paths(spec["paths"])],
            Actions=[action(spec)],
        )
        (has,) = aws.call("elbv2", "describe_rules", RuleArns=[ident])["Rules"]
        if str(has["Priority"]) != str(spec["priority"]):
            wanted = [{"RuleArn": ident, "Priority": spec["priority"]}]
            aws.call("elbv2", "set_rule_priorities", RulePriorities=wanted)

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_elb(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("RuleNotFound"):
            aws.call("elbv2", "delete_rule", RuleArn=found.ident)


def on_paths(paths: list[str]) -> dict[str, Any]:
    """The condition of a rule, in the API's words, which are CloudFormation's, too."""
    return {"Field": "path-pattern", "PathPatternConfig": {"Values": paths}}


def action(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What is done with a request, in the same words."""
    if "respond" in spec:
        fixed = {
            "StatusCode": str(spec["respond"]["status"]),
            "ContentType": "text/plain",
            "MessageBody": spec["respond"]["text"],
        }
        return {"Type": "fixed-response", "FixedResponseConfig": fixed}
    return {"Type": "forward", "TargetGroupArn": spec["forward"]}


def _shape(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "Protocol": spec["protocol"],
        "Port": spec["port"],
        "DefaultActions": [action(spec)],
    }


def _refuse(place: str, spec: Mapping[str, Any]) -> None:
    paths = spec["paths"]
    if not 1 <= len(paths) <= _MAX_VALUES or any(len(path) > _MAX_PATH for path in paths):
        raise CloudError(place, f"a rule takes {_MAX_VALUES} paths of {_MAX_PATH} characters")
    if not 1 <= spec["priority"] <= _MAX_PRIORITY:
        raise CloudError(place, f"priority {spec['priority']} is not from 1 to {_MAX_PRIORITY}")
