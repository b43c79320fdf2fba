"""A new balancer beside the old one: when it may have the address, and how the old one leaves.

Connections to the old one break when the address moves: they are to an address that is another
machine's now. New ones are answered as soon as the network knows.
"""

from __future__ import annotations

from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until
from orchestrator.deploy.balancers import Balancers, View, Views
from orchestrator.deploy.remote import known, run
from services.contract import DRAIN_STOP_S

_STOP: Final = f"docker stop --time {DRAIN_STOP_S} steelyard"


def wait_fit(aws: Aws, new: str, old: str, report: Report, patience: Patience) -> None:
    """Until `new` is ready and knows every healthy target of `old` as healthy, both by instance.

    Errors:
        CloudError: it is not at the deadline; the old one still serves.
    """

    def missing() -> str:
        online = known(aws, [new, old])
        if new not in online:
            return f"balancer {new} boots"
        try:
            views = Balancers(aws, online, patience).look()
        except CloudError as error:
            return f"balancer {new} boots ({error.cause[-60:]})"
        return unfit(views, new, old)

    wait_until("the new balancer", missing, report, patience)


def unfit(views: Views, new: str, old: str) -> str:
    """Pure. What keeps `new` from taking over; empty when nothing does."""
    view = views[new]
    if not view.ready:
        return f"balancer {new} is not ready"
    lacking = _healthy(views.get(old)) - _healthy(view)
    return f"balancer {new} lacks {len(lacking)} healthy targets" if lacking else ""


def stop_serving(aws: Aws, ident: str, report: Report, patience: Patience) -> None:
    """Let a balancer that is to end finish what it has. It ends all the same: trouble is told."""
    try:
        if ident not in known(aws, [ident]):
            return
        report(f"drain balancer {ident}")
        ran = run(aws, [ident], _STOP, patience, timeout_s=2 * DRAIN_STOP_S, about="stop")[ident]
    except CloudError as error:
        report(f"balancer {ident} was not drained: {error.cause}")
        return
    if ran.status:
        report(f"balancer {ident} was not drained: {ran.errors.strip()[-100:]}")


def _healthy(view: View | None) -> set[str]:
    targets = view.targets if view else ()
    return {target.ident for target in targets if target.state == "healthy"}
