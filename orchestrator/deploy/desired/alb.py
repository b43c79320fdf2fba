"""The application load balancer: a target group and a rule by path for each cluster, else 404."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any, Final

from orchestrator.deploy.desired.network import ALB as SECURITY_GROUP
from orchestrator.deploy.desired.network import HTTP_PORT
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.machines import load_balancer_usd_hour
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.resources.target_group import ALGORITHM, DELAY, SLOW_START
from orchestrator.deploy.settings import Cluster, Deployment
from services.contract import READY_PATH, WORKER_PORT

ALB: Final = Key("load balancer", "alb")
LISTENER: Final = Key("listener", "alb")
# As often as it can be asked, so that a worker which is draining is seen soon.
HEALTH: Final = {"path": READY_PATH, "interval_s": 5, "timeout_s": 4, "rise": 2, "fall": 2}
NOTICE_S: Final = 12  # above interval x fall: until it has seen /readyz fail
_PRIORITIES: Final = 50_000  # from 1. Source: ELB API reference, CreateRule


def target_group_of(cluster: Cluster) -> Key:
    """The target group that the cluster's machines are in."""
    return Key("target group", cluster.name)


def alb(deployment: Deployment, facts: Facts) -> list[Wanted]:
    """All that belongs to it but the machines."""
    settings = deployment.alb
    attributes = {DELAY: str(settings.deregistration_delay_s), ALGORITHM: settings.algorithm}
    if settings.algorithm == "round_robin":  # the others have no such attribute
        attributes[SLOW_START] = str(settings.slow_start_s)
    shape: dict[str, Any] = {
        "vpc": facts.vpc,
        "protocol": "HTTP",
        "port": WORKER_PORT,
        "health": HEALTH,
        "attributes": attributes,
    }
    balancer = Wanted(
        key=ALB,
        spec={
            "type": "application",
            "subnets": list(facts.front_subnets),
            "groups": [Ref(SECURITY_GROUP)],
            "attributes": {"deletion_protection.enabled": "false"},
        },
        needs=(SECURITY_GROUP,),
        usd_hour=load_balancer_usd_hour(len(facts.front_subnets)),
        details=f"application, in {len(facts.front_subnets)} zones",
    )
    listener = Wanted(
        key=LISTENER,
        spec={
            "load_balancer": Ref(ALB),
            "protocol": "HTTP",
            "port": HTTP_PORT,
            "respond": {"status": 404, "text": "no such cluster\n"},
        },
        needs=(ALB,),
        details=f"{HTTP_PORT}; 404 where no rule holds",
    )
    wanted = []
    numbers = priorities(cluster.name for cluster in deployment.clusters)
    rules = []
    for cluster in deployment.clusters:
        target_group = target_group_of(cluster)
        details = f"{WORKER_PORT}, {settings.algorithm}"
        wanted.append(Wanted(key=target_group, spec=shape, details=details))
        paths = [f"/{cluster.name}", f"/{cluster.name}/*"]
        rules.append(
            Wanted(
                key=Key("rule", cluster.name),
                spec={
                    "listener": Ref(LISTENER),
                    "priority": numbers[cluster.name],
                    "paths": paths,
                    "forward": Ref(target_group),
                },
                needs=(LISTENER, target_group),
                details=" ".join(paths),
            )
        )
    return [*wanted, balancer, listener, *rules]


def priorities(names: Iterable[str]) -> dict[str, int]:
    """A number for each, which others' coming and going leaves as it is.

    Their order means nothing, as no two paths overlap; but no two rules may have the same.
    """
    taken: dict[int, str] = {}
    for name in sorted(names):
        number = zlib.crc32(name.encode()) % _PRIORITIES
        while number + 1 in taken:
            number = (number + 1) % _PRIORITIES
        taken[number + 1] = name
    return {name: number for number, name in taken.items()}
