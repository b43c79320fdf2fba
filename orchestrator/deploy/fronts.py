"""Where clients reach a deployment: the balancer's address, and load balancers of AWS's own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from orchestrator.deploy.resource import Found

BALANCER: Final = "balancer"
# A load balancer's type, as AWS has it, and what users call it.
_TYPES: Final = {"application": "alb", "network": "nlb"}


@dataclass(frozen=True, slots=True)
class Front:
    """`name`: balancer (ours, at its address), nlb (ours, behind one) or alb."""

    name: str
    host: str

    @property
    def url(self) -> str:
        return f"http://{self.host}"

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
            fronts.append(Front(_TYPES.get(kind, one.key.name), str(one.about["dns"])))
    return sorted(fronts, key=lambda front: (front.name == "alb", front.name != BALANCER))
