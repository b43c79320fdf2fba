"""Security groups: clients -> front, front -> workers, nothing else."""

from __future__ import annotations

from typing import Any

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


class SecurityGroup:
    """Spec: vpc, about, ingress: list of {port, cidr | group}."""

    name = "security group"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        groups = aws.pages(
            "ec2", "describe_security_groups", "SecurityGroups", Filters=scope.filters
        )
        return [found(self.name, g["GroupId"], as_dict(g.get("Tags"))) for g in groups]

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
        wants = {(i["port"], i.get("cidr") or i["group"]) for i in making.spec["ingress"]}
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


def _flat(permission: dict[str, Any]) -> list[tuple[int, str]]:
    port = permission.get("FromPort", -1)
    sources = [r["CidrIp"] for r in permission.get("IpRanges", ())]
    sources += [p["GroupId"] for p in permission.get("UserIdGroupPairs", ())]
    return [(port, source) for source in sources]


def _permission(port: int, source: str) -> dict[str, Any]:
    where: dict[str, Any] = (
        {"UserIdGroupPairs": [{"GroupId": source}]}
        if source.startswith("sg-")
        else {"IpRanges": [{"CidrIp": source}]}
    )
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **where}
