"""The front's address and the balancer's instance behind it."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
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
from orchestrator.deploy.successor import wait_fit
from services.contract import TAG_BEGUN

ALIVE: Final = ("pending", "running", "stopping", "stopped")
# This zone has none left, or never had any. Source: EC2 API reference, "Error codes".
_FULL: Final = ("InsufficientInstanceCapacity", "Unsupported")
OF_A_GROUP: Final = "aws:autoscaling:groupName"


class Address:
    """An Elastic IP. Its spec is empty."""

    name = "address"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        addresses = aws.call("ec2", "describe_addresses", Filters=scope.filters)["Addresses"]
        return [
            found(
                self.name,
                a["AllocationId"],
                as_dict(a.get("Tags")),
                {"ip": a["PublicIp"], "association": a.get("AssociationId")},
            )
            for a in addresses
        ]

    def create(self, aws: Aws, making: Making) -> str:
        tags = [specification("elastic-ip", making.tags)]
        made = aws.call("ec2", "allocate_address", Domain="vpc", TagSpecifications=tags)
        return str(made["AllocationId"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        """Nothing to add: it is whole when it exists."""

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_ec2(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        if found.about["association"]:
            with unless("InvalidAssociationID.NotFound"):
                aws.call("ec2", "disassociate_address", AssociationId=found.about["association"])
        with unless("InvalidAllocationID.NotFound"):
            aws.call("ec2", "release_address", AllocationId=found.ident)


class Instance:
    """Spec: template, template_digest, subnet, other_subnets, address.

    Replaced when its template changes.
    """

    name = "instance"
    replaced = True

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        """Living ones that belong to no group."""
        machines = []
        for one in instances(aws, scope, ALIVE):
            tags = as_dict(one.get("Tags"))
            if OF_A_GROUP not in tags:
                about = {
                    "state": one["State"]["Name"],
                    "launched": str(one.get("LaunchTime")),
                    "begun": tags.get(TAG_BEGUN),
                }
                machines.append(found(self.name, one["InstanceId"], tags, about))
        return sorted(machines, key=lambda m: (m.key, m.about["launched"], m.ident))

    def create(self, aws: Aws, making: Making) -> str:
        """In the first subnet whose zone has room."""
        subnets = (making.spec["subnet"], *making.spec["other_subnets"])
        for number, subnet in enumerate(subnets):
            try:
                return self._run(aws, making, subnet, number)
            except CloudError as error:
                if error.code not in _FULL or subnet == subnets[-1]:
                    raise
                making.report(f"{making.key}: {subnet} has no room, on to the next")
        raise CloudError(str(making.key), "there is no subnet for it")

    def _run(self, aws: Aws, making: Making, subnet: str, number: int) -> str:
        tags = {**making.tags, TAG_BEGUN: making.digest}
        made = aws.call(
            "ec2",
            "run_instances",
            LaunchTemplate={"LaunchTemplateId": making.spec["template"], "Version": "$Default"},
            SubnetId=subnet,
            MinCount=1,
            MaxCount=1,
            # A token stands for one request with its parameters.
            ClientToken=f"{making.token}-{number}" if number else making.token,
            # The template says the same; it is said here again so that no instance is without.
            TagSpecifications=[specification(kind, tags) for kind in ("instance", "volume")],
        )
        return str(made["Instances"][0]["InstanceId"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        def missing() -> str:
            answer = aws.call("ec2", "describe_instances", InstanceIds=[ident])
            state = answer["Reservations"][0]["Instances"][0]["State"]["Name"]
            return "" if state == "running" else f"the instance is {state}"

        wait_until(str(making.key), missing, making.report, making.patience)
        (address,) = aws.call("ec2", "describe_addresses", AllocationIds=[making.spec["address"]])[
            "Addresses"
        ]
        holder = address.get("InstanceId")
        if holder != ident:
            if holder:
                wait_fit(aws, ident, holder, making.report, making.patience)
            aws.call(
                "ec2",
                "associate_address",
                AllocationId=making.spec["address"],
                InstanceId=ident,
                AllowReassociation=True,
            )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_ec2(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        with unless("InvalidInstanceID.NotFound"):
            aws.call("ec2", "terminate_instances", InstanceIds=[found.ident])


def instances(aws: Aws, scope: Scope, states: tuple[str, ...]) -> list[dict[str, Any]]:
    """All instances in the scope that are in one of these states, of groups or not."""
    filters = [*scope.filters, {"Name": "instance-state-name", "Values": list(states)}]
    reservations = aws.pages("ec2", "describe_instances", "Reservations", Filters=filters)
    return [one for reservation in reservations for one in reservation["Instances"]]
