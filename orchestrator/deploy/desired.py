"""From settings and facts to everything that should exist, in the order of its making. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from orchestrator.deploy.boot import Boot, balancer_config, render
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.host import Role, host_files
from orchestrator.deploy.machines import PUBLIC_IPV4_USD_HOUR, TYPES, machine_usd_hour
from orchestrator.deploy.permissions import balancer_policy, worker_policy
from orchestrator.deploy.resource import Key, Ref, Scope, Wanted, title
from orchestrator.deploy.settings import DISK_GIB, Cluster, Deployment
from services.contract import (
    ADMIN_PORT,
    BALANCER_PORT,
    ENV_CLUSTER_NAME,
    ENV_WORK_MS,
    HOOK_TERMINATING,
    HOOK_TIMEOUT_S,
    IMAGE_BALANCER,
    IMAGE_WORKER,
    PROJECT,
    TAG_CLUSTER,
    WORKER_PORT,
)

HTTP_PORT: Final = 80
SSH_PORT: Final = 22
LOG_DAYS: Final = 14
LOGS: Final = Key("log group", "logs")
FRONT: Final = Key("security group", "front")
WORKERS: Final = Key("security group", "workers")
ADDRESS: Final = Key("address", "front")
BALANCER: Final[Role] = "balancer"
WORKER: Final[Role] = "worker"


def desire(deployment: Deployment, facts: Facts) -> tuple[Wanted, ...]:
    """All things of the deployment.

    Errors:
        CloudError: the user data would be too large.
    """
    logs = f"/{PROJECT}/{deployment.name}"
    wanted = [
        Wanted(key=LOGS, spec={"name": logs, "days": LOG_DAYS}, details=f"{logs}, {LOG_DAYS} days"),
        *_network(deployment, facts),
    ]
    groups = title(Scope(deployment.name), "*")
    for name, policy in ((WORKER, worker_policy), (BALANCER, balancer_policy)):
        role, profile = Key("role", name), Key("instance profile", name)
        document = policy(deployment.region, facts.account, logs, groups)
        wanted.append(Wanted(key=role, spec={"policy": document}))
        wanted.append(Wanted(key=profile, spec={"role": Ref(role)}, needs=(role,)))
    for cluster in deployment.clusters:
        wanted += _cluster(deployment, facts, cluster, logs)
    return (*wanted, *_balancer(deployment, facts, logs))


def _network(deployment: Deployment, facts: Facts) -> list[Wanted]:
    ssh = [{"port": SSH_PORT, "cidr": f"{facts.address}/32"}] if facts.address else []
    clients = [{"port": HTTP_PORT, "cidr": network} for network in deployment.access]
    balancer = [{"port": WORKER_PORT, "group": Ref(FRONT)}]
    about = f"Steelyard {deployment.name}: "
    return [
        Wanted(
            key=FRONT,
            spec={"vpc": facts.vpc, "about": about + "clients", "ingress": clients + ssh},
            details=f"{HTTP_PORT} from {', '.join(deployment.access)}"
            + (f", {SSH_PORT} from {facts.address}" if ssh else ""),
        ),
        Wanted(
            key=WORKERS,
            spec={"vpc": facts.vpc, "about": about + "workers", "ingress": balancer + ssh},
            needs=(FRONT,),
            details=f"{WORKER_PORT} from the balancer",
        ),
    ]


def _cluster(deployment: Deployment, facts: Facts, cluster: Cluster, logs: str) -> list[Wanted]:
    tags = {TAG_CLUSTER: cluster.name}
    group_name = title(Scope(deployment.name), cluster.name)
    environment = {ENV_CLUSTER_NAME: cluster.name, ENV_WORK_MS: f"{cluster.work_ms:g}"}
    user_data = render(
        Boot(
            region=deployment.region,
            image=_image(facts, IMAGE_WORKER),
            log_group=logs,
            environment=environment,
            publish=(f"{WORKER_PORT}:{WORKER_PORT}",),
            files={},
            host=host_files(role=WORKER, region=deployment.region, group=group_name),
            end_after_s=deployment.ttl,
        )
    )
    template = _template(
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
    group = Wanted(
        key=Key("group", cluster.name),
        spec={
            "template": Ref(template.key),
            "subnets": list(facts.subnets_of.get(cluster.type, ())),
            "min": bounds.min,
            "max": bounds.max,
            "desired": bounds.desired,
            "tags": tags,
            "scaling": scaling,
            "ttl_s": deployment.ttl,
            "hooks": {HOOK_TERMINATING: HOOK_TIMEOUT_S},
        },
        needs=(template.key,),
        usd_hour=bounds.desired * machine_usd_hour(cluster.type, DISK_GIB),
        details=f"{size}{bounds.desired} x {cluster.type}" + (" spot" if cluster.spot else ""),
    )
    return [template, group]


def _balancer(deployment: Deployment, facts: Facts, logs: str) -> list[Wanted]:
    user_data = render(
        Boot(
            region=deployment.region,
            image=_image(facts, IMAGE_BALANCER),
            log_group=logs,
            environment={"AWS_REGION": deployment.region},
            publish=(f"{HTTP_PORT}:{BALANCER_PORT}", f"127.0.0.1:{ADMIN_PORT}:{ADMIN_PORT}"),
            files={"balancer.yaml": balancer_config(deployment)},
            host=host_files(role=BALANCER, region=deployment.region, group=None),
            end_after_s=deployment.ttl,
        )
    )
    type_name = deployment.balancer.type
    template = _template(
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
            "template": Ref(template.key),
            "template_digest": Ref(template.key, digest=True),
            "subnet": subnets[0] if subnets else "unknown",
            "other_subnets": subnets[1:],
            "address": Ref(ADDRESS),
        },
        needs=(template.key, ADDRESS),
        # Its public address is the front's, counted there.
        usd_hour=machine_usd_hour(type_name, DISK_GIB) - PUBLIC_IPV4_USD_HOUR,
        details=f"1 x {type_name}",
    )
    address = Wanted(key=ADDRESS, spec={}, usd_hour=PUBLIC_IPV4_USD_HOUR, details="Elastic IP")
    return [template, address, instance]


def _template(
    deployment: Deployment,
    facts: Facts,
    *,
    name: str,
    role: str,
    group: Key,
    type_name: str,
    user_data: str,
    tags: Mapping[str, str],
    spot: bool,
) -> Wanted:
    profile = Key("instance profile", role)
    spec: dict[str, Any] = {
        "ami": facts.amis.get(TYPES[type_name].architecture, "unknown"),
        "type": type_name,
        "profile": Ref(profile),
        "groups": [Ref(group)],
        "user_data": user_data,
        "disk_gib": DISK_GIB,
        "spot": spot,
        "key_pair": deployment.ssh.key_pair if deployment.ssh else None,
        "tags": dict(tags),
    }
    details = f"{type_name}, {len(user_data.encode())} bytes of user data"
    return Wanted(
        key=Key("launch template", name), spec=spec, needs=(profile, group), details=details
    )


def _image(facts: Facts, name: str) -> str:
    return facts.images.get(name, f"unknown/{name}")
