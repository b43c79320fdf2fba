"""A cluster: its launch template and its Auto Scaling group."""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.boot import Boot, render
from orchestrator.deploy.desired.alb import NOTICE_S, target_group_of
from orchestrator.deploy.desired.machine import image, template
from orchestrator.deploy.desired.network import WORKERS
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.host import Role, host_files
from orchestrator.deploy.machines import machine_usd_hour
from orchestrator.deploy.resource import Key, Ref, Scope, Wanted, title
from orchestrator.deploy.settings import DISK_GIB, Cluster, Deployment
from services.contract import (
    ENV_CLOUDWATCH,
    ENV_CLUSTER_NAME,
    ENV_REGION,
    ENV_WORK_MS,
    HOOK_TERMINATING,
    HOOK_TIMEOUT_S,
    IMAGE_WORKER,
    TAG_CLUSTER,
    WORKER_PORT,
)

WORKER: Final[Role] = "worker"


def cluster_of(deployment: Deployment, facts: Facts, cluster: Cluster, logs: str) -> list[Wanted]:
    """Template and group of one cluster. Raises CloudError: too much user data."""
    tags = {TAG_CLUSTER: cluster.name}
    group_name = title(Scope(deployment.name), cluster.name)
    environment = {
        ENV_CLUSTER_NAME: cluster.name,
        ENV_WORK_MS: f"{cluster.work_ms:g}",
        ENV_CLOUDWATCH: deployment.name,
        ENV_REGION: deployment.region,
    }
    user_data = render(
        Boot(
            region=deployment.region,
            image=image(facts, IMAGE_WORKER),
            log_group=logs,
            environment=environment,
            publish=(f"{WORKER_PORT}:{WORKER_PORT}",),
            files={},
            host=host_files(
                role=WORKER,
                region=deployment.region,
                group=group_name,
                notice_s=NOTICE_S if deployment.has_alb else None,
            ),
            end_after_s=deployment.ttl,
        )
    )
    made = template(
        deployment,
        facts,
        name=cluster.name,
        role=WORKER,
        group=WORKERS,
        type_name=cluster.type,
        user_data=user_data,
        tags=tags,
        spot=cluster.spot,
    )
    bounds = cluster.bounds
    scaling = cluster.scale and {
        "cpu_percent": cluster.scale.cpu_percent,
        "cooldown_s": cluster.scale.cooldown_s,
    }
    size = f"{bounds.min}-{bounds.max}, now " if cluster.scale else ""
    behind = (target_group_of(cluster),) if deployment.has_alb else ()
    group = Wanted(
        key=Key("group", cluster.name),
        spec={
            "template": Ref(made.key),
            "subnets": list(facts.subnets_of.get(cluster.type, ())),
            "min": bounds.min,
            "max": bounds.max,
            "desired": bounds.desired,
            "tags": tags,
            "scaling": scaling,
            "ttl_s": deployment.ttl,
            "hooks": {HOOK_TERMINATING: HOOK_TIMEOUT_S},
            "target_groups": [Ref(key) for key in behind],
        },
        needs=(made.key, *behind),
        usd_hour=bounds.desired * machine_usd_hour(cluster.type, DISK_GIB),
        details=f"{size}{bounds.desired} x {cluster.type}" + (" spot" if cluster.spot else ""),
    )
    return [made, group]
