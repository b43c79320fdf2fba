"""What the account has that a deployment stands on: looked up, never changed.

Whatever cannot be answered now is a check that says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from orchestrator import ecr
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.settings import Deployment
from services.contract import IMAGE_BALANCER, IMAGE_WORKER

# Source: EC2 user guide, "Reference the latest AMIs using Systems Manager public parameters".
_AMI: Final = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-{}"
ROOMS: Final = {"worker": IMAGE_WORKER, "balancer": IMAGE_BALANCER}
Outcome = Literal["ok", "fails", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that would fail later, looked at before."""

    about: str
    outcome: Outcome
    told: str = ""


@dataclass(slots=True)
class Facts:
    """Ids that specs are made from. What a failed check left open has a placeholder."""

    account: str = "unknown"
    vpc: str = "unknown"
    subnets: tuple[str, ...] = ()
    amis: dict[str, str] = field(default_factory=dict)  # by architecture
    images: dict[str, str] = field(default_factory=dict)  # by name: repository@digest
    address: str | None = None  # the caller's own, for SSH
    checks: list[Check] = field(default_factory=list)


def gather(aws: Aws, deployment: Deployment, my_address: Callable[[], str]) -> Facts:
    """Look everything up. A refusal becomes a failed check; none is raised.

    Missing credentials end it at once: nothing else could be answered.
    """
    facts = Facts()
    identity = aws.call("sts", "get_caller_identity")
    facts.account = identity["Account"]
    facts.checks.append(Check("credentials", "ok", identity["Arn"]))
    looks = (_network, _amis, _images, _types, _ssh, _not_built)
    for look in looks:
        try:
            look(aws, deployment, facts, my_address)
        except CloudError as error:
            facts.checks.append(Check(error.place, "fails", error.cause))
    for about in ("permissions", "quotas", "architecture of the images"):
        facts.checks.append(Check(about, "not checked"))
    return facts


Ask = Callable[[], str]


def _network(aws: Aws, deployment: Deployment, facts: Facts, _: Ask) -> None:
    if deployment.vpc is None:
        default = [{"Name": "is-default", "Values": ["true"]}]
        vpcs = aws.call("ec2", "describe_vpcs", Filters=default)["Vpcs"]
    else:
        vpcs = aws.call("ec2", "describe_vpcs", VpcIds=[deployment.vpc])["Vpcs"]
    if not vpcs:
        told = "no default VPC here; name one: vpc: vpc-..."
        facts.checks.append(Check("network", "fails", told))
        return
    facts.vpc = vpcs[0]["VpcId"]
    wanted = [{"Name": "vpc-id", "Values": [facts.vpc]}]
    if deployment.subnets:
        wanted.append({"Name": "subnet-id", "Values": list(deployment.subnets)})
    else:
        wanted.append({"Name": "default-for-az", "Values": ["true"]})
    subnets = list(aws.pages("ec2", "describe_subnets", "Subnets", Filters=wanted))
    facts.subnets = tuple(s["SubnetId"] for s in sorted(subnets, key=lambda s: str(s["SubnetId"])))
    zones = {subnet["AvailabilityZone"] for subnet in subnets}
    missing = sorted(set(deployment.subnets) - set(facts.subnets))
    if missing or not subnets:
        told = f"not in {facts.vpc}: {', '.join(missing) or 'any subnet'}"
        facts.checks.append(Check("network", "fails", told))
    elif deployment.front != "balancer" and len(zones) < 2:
        facts.checks.append(Check("network", "fails", "an ALB needs subnets in two zones"))
    else:
        facts.checks.append(Check("network", "ok", f"{facts.vpc}, {len(subnets)} subnets"))


def _amis(aws: Aws, deployment: Deployment, facts: Facts, _: Ask) -> None:
    for architecture in deployment.architectures:
        answer = aws.call("ssm", "get_parameter", Name=_AMI.format(architecture))
        ami = answer["Parameter"]["Value"]
        (image,) = aws.call("ec2", "describe_images", ImageIds=[ami])["Images"]
        facts.amis[architecture] = ami
        right = image["Architecture"] == architecture
        told = f"{ami} is {image['Architecture']}"
        facts.checks.append(Check(f"AMI for {architecture}", "ok" if right else "fails", told))


def _images(aws: Aws, deployment: Deployment, facts: Facts, _: Ask) -> None:
    host = ecr.host(facts.account, aws.region)
    for room, name in ROOMS.items():
        tag = deployment.tag_of(room)
        image = ecr.newest(aws, name) if tag is None else ecr.stored(aws, name, tag)
        about = f"image {name}" if tag is None else f"image {name}:{tag}"
        if image is None:
            told = "not in ECR; push it: steelyard images push"
            facts.checks.append(Check(about, "fails", told))
            continue
        facts.images[name] = f"{host}/{name}@{image.digest}"
        told = f"{', '.join(image.tags)} ({image.digest[:19]})"
        facts.checks.append(Check(about, "ok", told if tag is None else image.digest[:19]))


def _types(aws: Aws, deployment: Deployment, facts: Facts, _: Ask) -> None:
    types = sorted({deployment.balancer.type, *(c.type for c in deployment.clusters)})
    offers = aws.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="region",
        Filters=[{"Name": "instance-type", "Values": types}],
    )
    missing = sorted(set(types) - {offer["InstanceType"] for offer in offers})
    told = f"not offered in {aws.region}: {', '.join(missing)}" if missing else ", ".join(types)
    facts.checks.append(Check("instance types", "fails" if missing else "ok", told))


def _ssh(aws: Aws, deployment: Deployment, facts: Facts, my_address: Ask) -> None:
    if deployment.ssh is None:
        return
    aws.call("ec2", "describe_key_pairs", KeyNames=[deployment.ssh.key_pair])
    facts.address = my_address()
    facts.checks.append(Check("SSH", "ok", f"port 22 from {facts.address} only"))


def _not_built(_aws: Aws, deployment: Deployment, facts: Facts, _: Ask) -> None:
    if deployment.front != "balancer":
        told = f"front: {deployment.front} is not built yet; choose balancer"
        facts.checks.append(Check("front", "fails", told))
    if deployment.budget is not None:
        facts.checks.append(Check("budget", "fails", "no alarm is built yet; leave it out"))
