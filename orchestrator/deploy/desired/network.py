"""Who may speak to whom: security groups.

clients -> front -> workers                  one balancer, which is the front itself
clients -> front -> balancers -> workers     several: the front is their network load balancer,
                                             and they tell each other what they have pending
clients -> alb -> workers                    beside it, or instead of it
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.deploy.facts import Facts
from orchestrator.deploy.resource import Key, Ref, Wanted
from orchestrator.deploy.resources.network import ITSELF
from orchestrator.deploy.settings import Deployment
from services.contract import PEERS_PORT, WORKER_PORT

HTTP_PORT: Final = 80
SSH_PORT: Final = 22
FRONT: Final = Key("security group", "front")
ALB: Final = Key("security group", "alb")
BALANCERS: Final = Key("security group", "balancers")
WORKERS: Final = Key("security group", "workers")
Rules = list[dict[str, Any]]


def balancers_group(deployment: Deployment) -> Key:
    """The security group of the balancers' machines."""
    return BALANCERS if deployment.has_nlb else FRONT


def network(deployment: Deployment, facts: Facts) -> list[Wanted]:
    """Clients reach the fronts, the fronts reach the workers, nobody else anybody."""
    ssh: Rules = [{"port": SSH_PORT, "cidr": f"{facts.address}/32"}] if facts.address else []
    also = f", {SSH_PORT} from {facts.address}" if ssh else ""
    clients: Rules = [{"port": HTTP_PORT, "cidr": network} for network in deployment.access]
    told = f"{HTTP_PORT} from {', '.join(deployment.access)}"
    wanted, senders = [], []

    def group(key: Key, about: str, ingress: Rules, details: str, *needs: Key) -> None:
        about = f"Steelyard {deployment.name}: {about}"
        spec = {"vpc": facts.vpc, "about": about, "ingress": ingress}
        wanted.append(Wanted(key=key, spec=spec, needs=needs, details=details))

    if deployment.has_nlb:
        # Rules that name the load balancer's group hold for clients' own addresses, too.
        # Source: ELB user guide, "Security groups for your Network Load Balancer".
        group(FRONT, "clients", clients, told)
        own = {"port": PEERS_PORT, "protocol": "udp", "group": ITSELF}
        through: Rules = [{"port": HTTP_PORT, "group": Ref(FRONT)}, own, *ssh]
        about = f"{HTTP_PORT} from the network load balancer, UDP {PEERS_PORT} among them{also}"
        group(BALANCERS, "balancers", through, about, FRONT)
        senders.append((BALANCERS, "the balancers"))
    elif deployment.has_balancer:
        group(FRONT, "clients", clients + ssh, told + also)
        senders.append((FRONT, "the balancer"))
    if deployment.has_alb:
        group(ALB, "clients of the ALB", clients, told)
        senders.append((ALB, "the ALB"))
    to_workers: Rules = [{"port": WORKER_PORT, "group": Ref(key)} for key, _ in senders]
    about = f"{WORKER_PORT} from {' and '.join(name for _, name in senders)}"
    group(WORKERS, "workers", to_workers + ssh, about, *(key for key, _ in senders))
    return wanted
