"""Who may speak to whom: security groups."""

from __future__ import annotations

from typing import Final

from orchestrator.deploy.facts import Facts
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.settings import Deployment
from services.contract import WORKER_PORT

HTTP_PORT: Final = 80
SSH_PORT: Final = 22
FRONT: Final = Key("security group", "front")
WORKERS: Final = Key("security group", "workers")


def network(deployment: Deployment, facts: Facts) -> list[Wanted]:
    """Clients reach the front, the front reaches the workers, nobody else anybody."""
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
