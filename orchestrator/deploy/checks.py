"""What would fail later, looked at before: permissions, quotas, the images' architecture.

Each look answers with checks and raises nothing: what cannot be answered is "not checked", and says
why.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy import allowed
from orchestrator.deploy.check import Check
from orchestrator.deploy.machines import TYPES
from orchestrator.deploy.outside import Fetch
from orchestrator.deploy.resource import as_dict
from orchestrator.deploy.settings import Deployment
from services.contract import TAG_DEPLOYMENT

# Source: Service Quotas console, EC2: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z)
# instances", "All Standard Spot Instance Requests" (both in vCPUs), "EC2-VPC Elastic IPs".
_ON_DEMAND: Final = "L-1216C47A"
_SPOT: Final = "L-34B43A08"
_ADDRESSES: Final = "L-0263D0A3"
_RUNNING: Final = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
_STANDARD: Final = tuple("acdhimrtz")
_MANIFESTS: Final = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
]
# An image's word for what EC2 calls x86_64. Source: OCI image specification, `architecture`.
_OCI: Final = {"amd64": "x86_64", "arm64": "arm64"}


def permissions(aws: Aws, caller: str, account: str) -> list[Check]:
    """May the caller do what `up` and `down` do?"""
    about = "permissions"
    try:
        refused, unclear = allowed.denied(aws, caller, account)
    except CloudError as error:
        return [Check(about, "not checked", error.cause)]
    if refused:
        return [Check(about, "fails", f"denied: {allowed.told(refused)}; docs/aws-permissions.md")]
    if unclear:
        return [Check(about, "not checked", f"IAM cannot decide: {allowed.told(unclear)}")]
    return [Check(about, "ok")]


def quotas(aws: Aws, deployment: Deployment) -> list[Check]:
    """Room for the machines and the address besides what runs in the region already."""
    try:
        running = [
            one
            for reservation in aws.pages(
                "ec2", "describe_instances", "Reservations", Filters=_RUNNING
            )
            for one in reservation["Instances"]
            if as_dict(one.get("Tags")).get(TAG_DEPLOYMENT) != deployment.name
        ]
        addresses = aws.call("ec2", "describe_addresses")["Addresses"]
    except CloudError as error:
        return [Check("quotas", "not checked", error.cause)]
    spot = [one for one in running if one.get("InstanceLifecycle") == "spot"]
    plain = [one for one in running if one.get("InstanceLifecycle") != "spot"]
    sizes = [(c.bounds.desired, c.bounds.max, c) for c in deployment.clusters]
    checks = []
    for about, code, others, is_spot in (
        ("quota of vCPUs", _ON_DEMAND, plain, False),
        ("quota of spot vCPUs", _SPOT, spot, True),
    ):
        mine = [(now, most, TYPES[c.type].vcpus) for now, most, c in sizes if c.spot == is_spot]
        if not is_spot and deployment.has_balancer:
            number = deployment.balancer.count
            mine.append((number, number, TYPES[deployment.balancer.type].vcpus))
        if mine:
            used = sum(map(_vcpus, others))
            now = used + sum(count * vcpus for count, _, vcpus in mine)
            most = used + sum(count * vcpus for _, count, vcpus in mine)
            checks.append(_quota(aws, about, code, now, most))
    others_ = sum(as_dict(a.get("Tags")).get(TAG_DEPLOYMENT) != deployment.name for a in addresses)
    if deployment.has_balancer and not deployment.has_nlb:
        checks.append(_quota(aws, "quota of Elastic IPs", _ADDRESSES, others_ + 1, others_ + 1))
    return checks


def _quota(aws: Aws, about: str, code: str, now: int, most: int) -> Check:
    try:
        answer = aws.once("service-quotas", "get_service_quota", ServiceCode="ec2", QuotaCode=code)
    except CloudError as error:
        return Check(about, "not checked", error.cause)
    limit = answer["Quota"]["Value"]
    if now > limit:
        return Check(about, "fails", f"{now} with what runs already, the limit is {limit:g}")
    if most > limit:
        told = f"{now} of {limit:g}; scaled to the most it would be {most}, more than that"
        return Check(about, "ok", told)
    return Check(about, "ok", f"{now} of {limit:g}")


def _vcpus(instance: dict[str, Any]) -> int:
    """Of a standard type, in use; other families have quotas of their own."""
    family = instance["InstanceType"].partition(".")[0]
    if not family.startswith(_STANDARD):
        return 0
    cpu = instance.get("CpuOptions") or {}
    known = TYPES.get(instance["InstanceType"])
    return int(cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 1)) or (
        known.vcpus if known else 1
    )


def architecture(aws: Aws, image: str, wanted: Iterable[str], fetch: Fetch) -> Check:
    """Whether the image (`host/name@digest`) runs on machines of every `wanted` architecture."""
    path, _, digest = image.partition("@")
    name = path.partition("/")[2]
    about = f"architecture of {name}"
    try:
        has = _architectures(aws, name, digest, fetch)
    except CloudError as error:
        return Check(about, "not checked", error.cause)
    missing = sorted(set(wanted) - has)
    if missing:
        told = f"it is built for {', '.join(sorted(has))}; needed: {', '.join(missing)}"
        return Check(about, "fails", told)
    return Check(about, "ok", ", ".join(sorted(has)))


def _architectures(aws: Aws, name: str, digest: str, fetch: Fetch) -> set[str]:
    answer = aws.call(
        "ecr",
        "batch_get_image",
        repositoryName=name,
        imageIds=[{"imageDigest": digest}],
        acceptedMediaTypes=_MANIFESTS,
    )
    if not answer["images"]:
        raise CloudError(f"manifest of {name}", "ECR does not give it")
    try:
        manifest = json.loads(answer["images"][0]["imageManifest"])
        if "manifests" in manifest:  # one for each platform; `unknown` are attestations
            told = {entry["platform"]["architecture"] for entry in manifest["manifests"]}
            return {_OCI.get(word, word) for word in told - {"unknown"}}
        config = manifest["config"]["digest"]
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise CloudError(f"manifest of {name}", f"not understood: {error!r}") from error
    url = aws.once("ecr", "get_download_url_for_layer", repositoryName=name, layerDigest=config)
    try:
        word = json.loads(fetch(url["downloadUrl"]))["architecture"]
    except (KeyError, TypeError, ValueError) as error:
        raise CloudError(f"configuration of {name}", f"not understood: {error!r}") from error
    return {_OCI.get(word, word)}
