"""From settings and facts to everything that should exist, in the order of its making. Pure.

network    security groups
machine    a launch template, whatever it is for
alb        the application load balancer, a target group and a rule for each cluster
cluster    a cluster's template and group
balancer   the balancer's template, machine and address; or several in a group
nlb        the network load balancer in front of several
"""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.desired.alb import alb
from orchestrator.deploy.desired.balancer import BALANCER, balancer
from orchestrator.deploy.desired.cluster import WORKER, cluster_of
from orchestrator.deploy.desired.network import network
from orchestrator.deploy.facts import Facts
from orchestrator.deploy.permissions import balancer_policy, worker_policy
from orchestrator.deploy.resource import Key, Ref, Scope, Wanted, title
from orchestrator.deploy.settings import Deployment
from orchestrator.deploy.signals import signals
from services.contract import PROJECT

LOG_DAYS: Final = 14
LOGS: Final = Key("log group", "logs")


def desire(deployment: Deployment, facts: Facts) -> tuple[Wanted, ...]:
    """All things of the deployment.

    Errors:
        CloudError: the user data would be too large.
    """
    logs = f"/{PROJECT}/{deployment.name}"
    wanted = [
        Wanted(key=LOGS, spec={"name": logs, "days": LOG_DAYS}, details=f"{logs}, {LOG_DAYS} days"),
        *network(deployment, facts),
    ]
    groups = title(Scope(deployment.name), "*")
    rooms = [(WORKER, worker_policy)]
    if deployment.has_balancer:
        rooms.append((BALANCER, balancer_policy))
    for name, policy in rooms:
        role, profile = Key("role", name), Key("instance profile", name)
        document = policy(deployment.region, facts.account, logs, groups)
        wanted.append(Wanted(key=role, spec={"policy": document}))
        wanted.append(Wanted(key=profile, spec={"role": Ref(role)}, needs=(role,)))
    if deployment.has_alb:
        wanted += alb(deployment, facts)
    for cluster in deployment.clusters:
        wanted += cluster_of(deployment, facts, cluster, logs)
    if deployment.has_balancer:
        wanted += balancer(deployment, facts, logs)
    return (*wanted, *signals(deployment, facts.account))
