"""What the account has that a deployment stands on: looked up, never changed.

The looks go out side by side. Whatever cannot be answered now is a check that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from orchestrator import ecr
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy import checks
from orchestrator.deploy.check import Check
from orchestrator.deploy.outside import Outside
from orchestrator.deploy.settings import Deployment
from services.contract import IMAGE_BALANCER, IMAGE_WORKER

# Source: EC2 user guide, "Reference the latest AMIs using Systems Manager public parameters".
AMI_PARAMETER: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
ROOMS: Final = {"worker": IMAGE_WORKER, "balancer": IMAGE_BALANCER}
_AT_ONCE: Final = 8


@dataclass(slots=True)
class Facts:
    """Ids that specs are made from. What a failed check left open has a placeholder."""

    account: str = "unknown"
    vpc: str = "unknown"
    subnets: tuple[str, ...] = ()
    front_subnets: tuple[str, ...] = ()  # one of each zone: what a load balancer takes
    subnets_of: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by instance type
    amis: dict[str, str] = field(default_factory=dict)  # by architecture
    images: dict[str, str] = field(default_factory=dict)  # by name: repository@digest
    address: str | None = None  # the caller's own, for SSH
    checks: list[Check] = field(default_factory=list)


Look = Callable[[], list[Check]]


def gather(aws: Aws, deployment: Deployment, outside: Outside) -> Facts:
    """Look everything up. A refusal becomes a failed check; none is raised.

    Missing credentials end it at once: nothing else could be answered.
    """
    facts = Facts()
    identity = aws.call("sts", "get_caller_identity")
    facts.account, caller = identity["Account"], identity["Arn"]
    facts.checks.append(Check("credentials", "ok", caller))
    looks: tuple[Look, ...] = (
        lambda: _network(aws, deployment, facts),
        lambda: _amis(aws, deployment, facts),
        lambda: _images(aws, deployment, facts, outside),
        lambda: _ssh(aws, deployment, facts, outside),
        lambda: checks.permissions(aws, caller, facts.account),
        lambda: checks.quotas(aws, deployment),
    )
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for found in pool.map(_guarded, looks):
            facts.checks += found
    return facts


def _guarded(look: Look) -> list[Check]:
    try:
        return look()
    except CloudError as error:
        return [Check(error.place, "fails", error.cause)]


def _network(aws: Aws, deployment: Deployment, facts: Facts) -> list[Check]:
    if deployment.vpc is None:
        default = [{"Name": "is-default", "Values": ["true"]}]
        vpcs = aws.call("ec2", "describe_vpcs", Filters=default)["Vpcs"]
    else:
        vpcs = aws.call("ec2", "describe_vpcs", VpcIds=[deployment.vpc])["Vpcs"]
    if not vpcs:
        return [Check("network", "fails", "no default VPC here; name one: vpc: vpc-...")]
    facts.vpc = vpcs[0]["VpcId"]
    wanted = [{"Name": "vpc-id", "Values": [facts.vpc]}]
    if deployment.subnets:
        wanted.append({"Name": "subnet-id", "Values": list(deployment.subnets)})
    else:
        wanted.append({"Name": "default-for-az", "Values": ["true"]})
    subnets = list(aws.pages("ec2", "describe_subnets", "Subnets", Filters=wanted))
    zones = {s["SubnetId"]: str(s["AvailabilityZone"]) for s in subnets}
    facts.subnets = tuple(sorted(zones))
    missing = sorted(set(deployment.subnets) - set(facts.subnets))
    if missing or not subnets:
        told = f"not in {facts.vpc}: {', '.join(missing) or 'any subnet'}"
        return [Check("network", "fails", told)]
    by_zone = {zones[subnet]: subnet for subnet in reversed(facts.subnets)}
    facts.front_subnets = tuple(by_zone[zone] for zone in sorted(by_zone))
    if deployment.has_alb and len(by_zone) < 2:
        return [Check("network", "fails", "an ALB needs subnets in two zones")]
    network = Check("network", "ok", f"{facts.vpc}, {len(subnets)} subnets")
    return [network, *_types(aws, deployment, facts, zones)]


def _types(aws: Aws, deployment: Deployment, facts: Facts, zones: dict[str, str]) -> list[Check]:
    """A zone that does not offer a type is left out for the machines of that type."""
    fronts = {deployment.balancer.type} if deployment.has_balancer else set[str]()
    types = sorted(fronts | {cluster.type for cluster in deployment.clusters})
    offers: dict[str, set[str]] = {name: set() for name in types}
    for offer in aws.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[
            {"Name": "instance-type", "Values": types},
            {"Name": "location", "Values": sorted(set(zones.values()))},
        ],
    ):
        offers[offer["InstanceType"]].add(offer["Location"])
    found = []
    for name in types:
        fits = tuple(subnet for subnet in facts.subnets if zones[subnet] in offers[name])
        facts.subnets_of[name] = fits
        without = sorted({zone for zone in zones.values() if zone not in offers[name]})
        about = f"instance type {name}"
        if not fits:
            found.append(Check(about, "fails", f"not offered in {', '.join(without)}"))
        elif without:
            told = f"not offered in {', '.join(without)}: no machines there"
            found.append(Check(about, "ok", told))
        else:
            found.append(Check(about, "ok", f"offered in {len(offers[name])} zones"))
    return found


def _amis(aws: Aws, deployment: Deployment, facts: Facts) -> list[Check]:
    found = []
    for architecture in deployment.architectures:
        answer = aws.call("ssm", "get_parameter", Name=AMI_PARAMETER.format(architecture))
        ami = answer["Parameter"]["Value"]
        images = aws.call("ec2", "describe_images", ImageIds=[ami])["Images"]
        about = f"AMI for {architecture}"
        if not images:
            found.append(Check(about, "fails", f"{ami} does not exist in {aws.region}"))
            continue
        facts.amis[architecture] = ami
        has = images[0]["Architecture"]
        right = has == architecture
        found.append(Check(about, "ok" if right else "fails", f"{ami} is {has}"))
    return found


def _images(aws: Aws, deployment: Deployment, facts: Facts, outside: Outside) -> list[Check]:
    host = ecr.host(facts.account, aws.region)
    found = []
    for room, name in ROOMS.items():
        if not deployment.architectures_of(room):
            continue  # no machine runs it
        tag = deployment.tag_of(room)
        image = ecr.newest(aws, name) if tag is None else ecr.stored(aws, name, tag)
        about = f"image {name}" if tag is None else f"image {name}:{tag}"
        if image is None:
            told = "not in ECR; push it: steelyard images push"
            found.append(Check(about, "fails", told))
            continue
        facts.images[name] = f"{host}/{name}@{image.digest}"
        told = f"{', '.join(image.tags)} ({image.digest[:19]})"
        found.append(Check(about, "ok", told if tag is None else image.digest[:19]))
        wanted = deployment.architectures_of(room)
        found.append(checks.architecture(aws, facts.images[name], wanted, outside.fetch))
    return found


def _ssh(aws: Aws, deployment: Deployment, facts: Facts, outside: Outside) -> list[Check]:
    if deployment.ssh is None:
        return []
    aws.call("ec2", "describe_key_pairs", KeyNames=[deployment.ssh.key_pair])
    facts.address = outside.my_address()
    return [Check("SSH", "ok", f"port 22 from {facts.address} only")]
