"""The network load balancer in front of several balancers: it passes connections on."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.deploy.desired.network import FRONT, HTTP_PORT
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.machines import load_balancer_usd_hour
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.resources.target_group import CLIENT_IP, CUT, DELAY
from orchestrator.deploy.settings import Deployment

NLB: Final = Key("load balancer", "nlb")
LISTENER: Final = Key("listener", "nlb")
BEHIND: Final = Key("target group", "balancer")
# The balancer answers `/` by itself; its admin API listens on its host's loopback only.
HEALTH: Final = {"path": "/", "interval_s": 10, "timeout_s": 5, "rise": 2, "fall": 2}


def nlb(deployment: Deployment, facts: Facts) -> list[Wanted]:
    """All that belongs to it but the machines."""
    attributes = {
        DELAY: str(deployment.balancer.deregistration_delay_s),
        CUT: "true",  # a client that holds on beyond the delay is told so at once
        CLIENT_IP: "true",  # the balancer's log has the clients' addresses
    }
    shape: dict[str, Any] = {
        "vpc": facts.vpc,
        "protocol": "TCP",
        "port": HTTP_PORT,
        "health": HEALTH,
        "attributes": attributes,
    }
    return [
        Wanted(key=BEHIND, spec=shape, details=f"{HTTP_PORT}, balancers"),
        Wanted(
            key=NLB,
            spec={
                "type": "network",
                "subnets": list(facts.front_subnets),
                "groups": [Ref(FRONT)],
                # A zone without a balancer of its own answers, too.
                "attributes": {
                    "deletion_protection.enabled": "false",
                    "load_balancing.cross_zone.enabled": "true",
                },
            },
            needs=(FRONT,),
            usd_hour=load_balancer_usd_hour(len(facts.front_subnets)),
            details=f"network, in {len(facts.front_subnets)} zones",
        ),
        Wanted(
            key=LISTENER,
            spec={
                "load_balancer": Ref(NLB),
                "protocol": "TCP",
                "port": HTTP_PORT,
                "forward": Ref(BEHIND),
            },
            needs=(NLB, BEHIND),
            details=f"{HTTP_PORT}",
        ),
    ]
