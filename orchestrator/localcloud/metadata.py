"""What the metadata service tells one instance: from moto's record of it, and the notices.

Source: EC2 user guide, "Instance metadata categories" and "Instance identity documents".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.localcloud.imds import Tree, document
from orchestrator.localcloud.instances import by_address
from orchestrator.localcloud.world import ACCOUNT, World


def tree_of(world: World, address: str) -> Tree | None:
    """All metadata of the instance at an address; None: there is none."""
    instance = by_address(world, address)
    return None if instance is None else _tree(world, instance, address)


def _tree(world: World, instance: Any, address: str) -> Tree:
    zone = instance.placement.zone
    host = f"ip-{address.replace('.', '-')}.{world.region}.compute.internal"
    meta: dict[str, Any] = {
        "ami-id": instance.image_id,
        "instance-id": instance.id,
        "instance-type": instance.instance_type,
        "local-hostname": host,
        "hostname": host,
        "local-ipv4": address,
        "placement": {"region": world.region, "availability-zone": zone},
        "autoscaling": {
            "target-lifecycle-state": world.notices.lifecycle.get(instance.id, "InService")
        },
    }
    spot = world.notices.spot.get(instance.id)
    if spot:
        meta["spot"] = {"instance-action": document(spot), "termination-time": spot["time"]}
    role = _role(world, instance)
    if role:
        meta["iam"] = {"security-credentials": {role: _credentials()}}
    identity = {
        "accountId": ACCOUNT,
        "architecture": instance.architecture,
        "availabilityZone": zone,
        "imageId": instance.image_id,
        "instanceId": instance.id,
        "instanceType": instance.instance_type,
        "privateIp": address,
        "region": world.region,
    }
    return {
        "meta-data": meta,
        "user-data": instance.user_data.decode() if instance.user_data else "",
        "dynamic": {"instance-identity": {"document": document(identity)}},
    }


def _role(world: World, instance: Any) -> str | None:
    known = world.backend("ec2").iam_instance_profile_associations.get(instance.id)
    roles = known.iam_instance_profile.roles if known else []
    return str(roles[0].name) if roles else None


def _credentials() -> str:
    now = datetime.now(UTC)
    form = "%Y-%m-%dT%H:%M:%SZ"
    return document(
        {
            "Code": "Success",
            "LastUpdated": now.strftime(form),
            "Type": "AWS-HMAC",
            "AccessKeyId": "ASIALOCALCLOUD000000",
            "SecretAccessKey": "local",
            "Token": "local",
            "Expiration": (now + timedelta(hours=6)).strftime(form),
        }
    )
