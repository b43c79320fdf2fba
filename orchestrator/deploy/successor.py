"""A new balancer beside the old one: when it may have the address, and how the old one leaves.

Connections to the old one break when the address moves: they are to an address that is another
machine's now. New ones are answered as soon as the network knows.
"""

from __future__ import annotations

from collections.abc import Collection
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
        return unfit(views, new, [old])

    wait_until("the new balancer", missing, report, patience)


def unfit(views: Views, new: str, olds: Collection[str]) -> str:
    """Pure. What keeps `new` from taking over; empty when nothing does.

    A cluster that the new one does not have is not wanted any more.
    """
    view = views[new]
    if not view.ready:
        return f"balancer {new} is not ready"
    known_to = [_healthy(views[old], view.clusters) for old in olds if old in views]
    lacking = set[str]().union(*known_to) - _healthy(view, view.clusters)
    return f"balancer {new} lacks {len(lacking)} healthy targets" if lacking else ""


def stop_serving(aws: Aws, idents: Collection[str], report: Report, patience: Patience) -> None:
    """Let balancers that are to end finish what they have. They end all the same: trouble is
    told.
    """
    named = f"balancer {', '.join(idents)}"
    try:
        reached = known(aws, idents)
        if not reached:
            return
        report(f"drain {named}")
        ended = run(aws, reached, _STOP, patience, timeout_s=2 * DRAIN_STOP_S, about="stop")
    except CloudError as error:
        report(f"{named} was not drained: {error.cause}")
        return
    for ident, ran in ended.items():
        if ran.status:
            report(f"balancer {ident} was not drained: {ran.errors.strip()[-100:]}")


def _healthy(view: View, clusters: Collection[str]) -> set[str]:
    return {t.ident for t in view.targets if t.state == "healthy" and t.cluster in clusters}
