"""The balancer: its launch template, and one machine with its address, or a group of several."""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.boot import Boot, balancer_config, render
from orchestrator.deploy.desired.machine import image, template
from orchestrator.deploy.desired.network import HTTP_PORT, balancers_group
from orchestrator.deploy.desired.nlb import BEHIND, nlb
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.host import Role, host_files
from orchestrator.deploy.machines import PUBLIC_IPV4_USD_HOUR, machine_usd_hour
from orchestrator.deploy.resource import Key, Ref, Scope, Wanted, title
from orchestrator.deploy.settings import DISK_GIB, Deployment
from services.contract import (
    ADMIN_PORT,
    BALANCER_PORT,
    HOOK_TERMINATING,
    HOOK_TIMEOUT_S,
    IMAGE_BALANCER,
    PEERS_PORT,
)

ADDRESS: Final = Key("address", "front")
BALANCER: Final[Role] = "balancer"


def balancer(deployment: Deployment, facts: Facts, logs: str) -> list[Wanted]:
    """All that belongs to the balancer. Raises CloudError: too much user data."""
    made = _template(deployment, facts, logs)
    if deployment.has_nlb:
        return [made, *nlb(deployment, facts), _several(deployment, facts, made.key)]
    return [made, *_one(deployment, facts, made.key)]


def _template(deployment: Deployment, facts: Facts, logs: str) -> Wanted:
    group = title(Scope(deployment.name), BALANCER) if deployment.has_nlb else None
    user_data = render(
        Boot(
            region=deployment.region,
            image=image(facts, IMAGE_BALANCER),
            log_group=logs,
            environment={"AWS_REGION": deployment.region},
            publish=(
                f"{HTTP_PORT}:{BALANCER_PORT}",
                f"127.0.0.1:{ADMIN_PORT}:{ADMIN_PORT}",
                *((f"{PEERS_PORT}:{PEERS_PORT}/udp",) if group else ()),
            ),
            files={"balancer.yaml": balancer_config(deployment, group)},
            host=host_files(role=BALANCER, region=deployment.region, group=group),
            end_after_s=deployment.ttl,
        )
    )
    return template(
        deployment,
        facts,
        name=BALANCER,
        role=BALANCER,
        group=balancers_group(deployment),
        type_name=deployment.balancer.type,
        user_data=user_data,
        tags={},
        spot=False,
    )


def _one(deployment: Deployment, facts: Facts, made: Key) -> list[Wanted]:
    """A machine of its own with an address that stays."""
    type_name = deployment.balancer.type
    subnets = list(facts.subnets_of.get(type_name, ()))
    instance = Wanted(
        key=Key("instance", BALANCER),
        spec={
            "template": Ref(made),
            "template_digest": Ref(made, digest=True),
            "subnet": subnets[0] if subnets else "unknown",
            "other_subnets": subnets[1:],
            "address": Ref(ADDRESS),
        },
        needs=(made, ADDRESS),
        # Its public address is the front's, counted there.
        usd_hour=machine_usd_hour(type_name, DISK_GIB) - PUBLIC_IPV4_USD_HOUR,
        details=f"1 x {type_name}",
    )
    address = Wanted(key=ADDRESS, spec={}, usd_hour=PUBLIC_IPV4_USD_HOUR, details="Elastic IP")
    return [address, instance]


def _several(deployment: Deployment, facts: Facts, made: Key) -> Wanted:
    """A group of so many, always."""
    type_name, count = deployment.balancer.type, deployment.balancer.count
    return Wanted(
        key=Key("group", BALANCER),
        spec={
            "template": Ref(made),
            "subnets": list(facts.subnets_of.get(type_name, ())),
            "min": count,
            "max": count,
            "desired": count,
            "tags": {},
            "scaling": None,
            "ttl_s": deployment.ttl,
            "hooks": {HOOK_TERMINATING: HOOK_TIMEOUT_S},
            "target_groups": [Ref(BEHIND)],
        },
        needs=(made, BEHIND),
        usd_hour=count * machine_usd_hour(type_name, DISK_GIB),
        details=f"{count} x {type_name}",
    )
