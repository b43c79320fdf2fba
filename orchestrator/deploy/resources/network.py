"""Security groups: who may speak to whom."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import (
    Found,
    Making,
    Scope,
    as_dict,
    found,
    seal_ec2,
    specification,
)
from orchestrator.deploy.resources.gone import unless

ITSELF: Final = "itself"  # in a rule, in place of the id of the group that it belongs to

_Rule = tuple[str, int, str]  # protocol, port, network or group


class SecurityGroup:
    """Spec: vpc, about, ingress: list of {port, cidr | group, protocol (default tcp)}."""

    name = "security group"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        groups = aws.pages(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=scope.filters
        )
        return [
            found(self.name, g["GroupId"], as_dict(g.get("Tags"))) for g in _referred_first(groups)
        ]

    def create(self, aws: Aws, making: Making) -> str:
        made = aws.call(
            "ec2",
            "create_security_group",
            GroupName=making.title,
            Description=making.spec["about"],
            VpcId=making.spec["vpc"],
            TagSpecifications=[specification("security-group", making.tags)],
        )
        return str(made["GroupId"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        (group,) = aws.call("ec2", "describe_security_groups", GroupIds=[ident])["SecurityGroups"]
        has = {rule for permission in group["IpPermissions"] for rule in _flat(permission)}
        wants = {_wanted(rule, ident) for rule in making.spec["ingress"]}
        if has - wants:
            aws.call(
                "ec2",
                "revoke_security_group_ingress",
                GroupId=ident,
                IpPermissions=[_permission(*rule) for rule in sorted(has - wants)],
            )
        if wants - has:
            with unless("InvalidPermission.Duplicate"):
                aws.call(
                    "ec2",
                    "authorize_security_group_ingress",
                    GroupId=ident,
                    IpPermissions=[_permission(*rule) for rule in sorted(wants - has)],
                )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_ec2(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("InvalidGroup.NotFound"):
            aws.call("ec2", "delete_security_group", GroupId=found.ident)


def _referred_first(groups: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """A group that a rule of another names cannot be deleted before that other."""
    known = {group["GroupId"]: group for group in groups}

    def depth(group: dict[str, Any], seen: frozenset[str] = frozenset()) -> int:
        sources = {source for rule in group["IpPermissions"] for _, _, source in _flat(rule)}
        below = [known[s] for s in sources - seen if s in known and s != group["GroupId"]]
        return 1 + max((depth(one, seen | {group["GroupId"]}) for one in below), default=0)

    return sorted(known.values(), key=lambda group: (depth(group), group["GroupId"]))


def _wanted(rule: dict[str, Any], ident: str) -> _Rule:
    source = rule.get("cidr") or rule["group"]
    return rule.get("protocol", "tcp"), rule["port"], ident if source == ITSELF else source


def _flat(permission: dict[str, Any]) -> list[_Rule]:
    protocol, port = permission["IpProtocol"], permission.get("FromPort", -1)
    sources = [r["CidrIp"] for r in permission.get("IpRanges", ())]
    sources += [p["GroupId"] for p in permission.get("UserIdGroupPairs", ())]
    return [(protocol, port, source) for source in sources]


def _permission(protocol: str, port: int, source: str) -> dict[str, Any]:
    where: dict[str, Any] = (
        {"UserIdGroupPairs": [{"GroupId": source}]}
        if source.startswith("sg-")
        else {"IpRanges": [{"CidrIp": source}]}
    )
    return {"IpProtocol": protocol, "FromPort": port, "ToPort": port, **where}
