"""The balancer: its launch template, its machine, its address."""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.boot import Boot, balancer_config, render
from orchestrator.deploy.desired.machine import image, template
from orchestrator.deploy.desired.network import FRONT, HTTP_PORT
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.host import Role, host_files
from orchestrator.deploy.machines import PUBLIC_IPV4_USD_HOUR, machine_usd_hour
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.settings import DISK_GIB, Deployment
from services.contract import ADMIN_PORT, BALANCER_PORT, IMAGE_BALANCER

ADDRESS: Final = Key("address", "front")
BALANCER: Final[Role] = "balancer"


def balancer(deployment: Deployment, facts: Facts, logs: str) -> list[Wanted]:
    """All that belongs to the balancer. Raises CloudError: too much user data."""
    user_data = render(
        Boot(
            region=deployment.region,
            image=image(facts, IMAGE_BALANCER),
            log_group=logs,
            environment={"AWS_REGION": deployment.region},
            publish=(f"{HTTP_PORT}:{BALANCER_PORT}", f"127.0.0.1:{ADMIN_PORT}:{ADMIN_PORT}"),
            files={"balancer.yaml": balancer_config(deployment)},
            host=host_files(role=BALANCER, region=deployment.region, group=None),
            end_after_s=deployment.ttl,
        )
    )
    type_name = deployment.balancer.type
    made = template(
        deployment,
        facts,
        name=BALANCER,
        role=BALANCER,
        group=FRONT,
        type_name=type_name,
        user_data=user_data,
        tags={},
        spot=False,
    )
    subnets = list(facts.subnets_of.get(type_name, ()))
    instance = Wanted(
        key=Key("instance", BALANCER),
        spec={
            "template": Ref(made.key),
            "template_digest": Ref(made.key, digest=True),
            "subnet": subnets[0] if subnets else "unknown",
            "other_subnets": subnets[1:],
            "address": Ref(ADDRESS),
        },
        needs=(made.key, ADDRESS),
        # Its public address is the front's, counted there.
        usd_hour=machine_usd_hour(type_name, DISK_GIB) - PUBLIC_IPV4_USD_HOUR,
        details=f"1 x {type_name}",
    )
    address = Wanted(key=ADDRESS, spec={}, usd_hour=PUBLIC_IPV4_USD_HOUR, details="Elastic IP")
    return [made, address, instance]
