"""Application and network load balancers."""

from __future__ import annotations

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.resource import Found, Making, Scope, as_list
from orchestrator.deploy.resources.elb_tags import PREFIX, in_scope, seal_elb
from orchestrator.deploy.resources.gone import unless


class LoadBalancer:
    """Spec: type (application | network), subnets, groups, attributes. Its id is its ARN."""

    name = "load balancer"
    replaced = False

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        balancers = aws.pages("elbv2", "describe_load_balancers", "LoadBalancers")
        things = [
            (
                one["LoadBalancerArn"],
                {"dns": one["DNSName"], "state": one["State"]["Code"], "type": one["Type"]},
            )
            for one in balancers
            if one["LoadBalancerName"].startswith(PREFIX)
        ]
        return in_scope(aws, scope, self.name, things)

    def create(self, aws: Aws, making: Making) -> str:
        """The name is the token: AWS answers the same request with the same load balancer."""
        spec = making.spec
        if spec["type"] == "application" and len(spec["subnets"]) < 2:
            raise CloudError(
                str(making.key),
                "an application load balancer needs subnets in two zones",
                "name another: subnets: [...]",
            )
        made = aws.call(
            "elbv2",
            "create_load_balancer",
            Name=making.title,
            Type=spec["type"],
            Scheme="internet-facing",
            IpAddressType="ipv4",
            Subnets=spec["subnets"],
            SecurityGroups=spec["groups"],
            Tags=as_list(making.tags),
        )
        return str(made["LoadBalancers"][0]["LoadBalancerArn"])

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        spec = making.spec
        (has,) = aws.call("elbv2", "describe_load_balancers", LoadBalancerArns=[ident])[
            "LoadBalancers"
        ]
        if {zone["SubnetId"] for zone in has["AvailabilityZones"]} != set(spec["subnets"]):
            aws.call("elbv2", "set_subnets", LoadBalancerArn=ident, Subnets=spec["subnets"])
        if set(has.get("SecurityGroups", ())) != set(spec["groups"]):
            aws.call(
                "elbv2",
                "set_security_groups",
                LoadBalancerArn=ident,
                SecurityGroups=spec["groups"],
            )
        aws.call(
            "elbv2",
            "modify_load_balancer_attributes",
            LoadBalancerArn=ident,
            Attributes=as_list(spec["attributes"]),
        )

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        seal_elb(aws, ident, digest)

    def delete(self, aws: Aws, found: Found) -> None:
        """Its listeners and rules go with it."""
        with unless("LoadBalancerNotFound"):
            aws.call("elbv2", "delete_load_balancer", LoadBalancerArn=found.ident)
