"""Where clients reach a deployment: the balancer's address, and load balancers of AWS's own; and
which machines these think healthy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.members import Members
from orchestrator.deploy.resource import Found, Scope
from orchestrator.deploy.resources import BY_NAME

BALANCER: Final = "balancer"
ACTIVE: Final = "active"
# A load balancer's type, as AWS has it, and what users call it.
_TYPES: Final = {"application": "alb", "network": "nlb"}
HEALTHY: Final = "healthy"
Healths = Mapping[str, Mapping[str, str]]  # state by instance, by target group


@dataclass(frozen=True, slots=True)
class Front:
    """`name`: balancer (ours, at its address), nlb (ours, behind one) or alb.

    `state` is `active` once it can answer.
    """

    name: str
    host: str
    state: str = ACTIVE

    @property
    def url(self) -> str:
        return f"http://{self.host}"

    @property
    def ours(self) -> bool:
        """Steelyard's balancers answer there."""
        return self.name != "alb"

    def called(self, local: bool) -> str:
        """Its name in a report. On the local cloud AWS's load balancers are played by a proxy."""
        return f"stand-in for {self.name}" if local and self.name != BALANCER else self.name


def fronts_of(found: Iterable[Found]) -> list[Front]:
    """Of all things of a deployment; ours first, as the one that others are compared with.

    A thing is a load balancer when it tells its `dns` name; `type` is application or network.
    """
    fronts = []
    for one in found:
        if one.key.kind == "address" and one.about.get("ip"):
            fronts.append(Front(BALANCER, str(one.about["ip"])))
        elif one.about.get("dns"):
            kind = str(one.about.get("type", ""))
            state = str(one.about.get("state", ACTIVE))
            fronts.append(Front(_TYPES.get(kind, one.key.name), str(one.about["dns"]), state))
    return sorted(fronts, key=lambda front: (not front.ours, front.name != BALANCER))


def fronts(aws: Aws, scope: Scope) -> list[Front]:
    """Those that there are now. Raises CloudError."""
    kinds = (BY_NAME["address"], BY_NAME["load balancer"])
    return fronts_of(one for kind in kinds for one in kind.find(aws, scope))


def target_healths(aws: Aws, scope: Scope, name: str | None = None) -> Healths:
    """What each target group, or the one of that name, says of its instances: one call for each.

    Errors:
        CloudError: AWS refused.
    """
    groups = BY_NAME["target group"].find(aws, scope)
    asked = [group for group in groups if name in (None, group.key.name)]
    return {group.key.name: health_in(aws, group.ident) for group in asked}


def health_in(aws: Aws, target_group: str) -> Mapping[str, str]:
    """State by instance, of a target group by its ARN. Raises CloudError."""
    told = aws.call("elbv2", "describe_target_health", TargetGroupArn=target_group)
    return {
        one["Target"]["Id"]: one["TargetHealth"]["State"]
        for one in told["TargetHealthDescriptions"]
    }


def unhealthy_targets(now: Members, healths: Healths) -> list[str]:
    """Pure. The groups of which too few machines are healthy behind their load balancer."""
    told = []
    for group in now.groups:
        states = healths.get(group.name)
        if states is None:
            continue
        serving = sum(states.get(one.ident) == HEALTHY for one in group.staying)
        if serving < group.desired:
            told.append(f"{group.name} {serving} of {group.desired} healthy behind load balancer")
    return told
