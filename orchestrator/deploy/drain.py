"""Take machines out without cutting a request: no new ones in any balancer, none pending, then end.

A machine that has a lifecycle hook drains by itself, too; here it is done before, and seen.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, wait_until
from orchestrator.deploy.balancers import Balancers, Views
from orchestrator.deploy.fronts import fronts
from orchestrator.deploy.members import Machine, Members, members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.remote import known
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources.gone import unless

DEADLINE_S: Final = 120.0


def drain(
    balancers: Balancers, machines: Collection[Machine], deadline_s: float, around: Surroundings
) -> bool:
    """Drain in every balancer; whether nothing was pending before the deadline.

    Errors:
        CloudError: a balancer did not answer.
    """
    views = balancers.drain(targets_of(machines, balancers.look()))

    def missing() -> str:
        nonlocal views
        late = pending(machines, views)
        if late:
            views = balancers.look()
        return f"{late} requests are under way" if late else ""

    try:
        wait_until("drain", missing, around.report, Patience(deadline_s, around.patience.pause_s))
    except CloudError as error:
        around.report(f"drain: {error.cause}; going on")
        return False
    return True


def targets_of(machines: Collection[Machine], views: Views) -> set[str]:
    """Pure. What the balancers call these machines."""
    found = (v.find(m.ident, m.host) for v in views.values() for m in machines)
    return {target.ident for target in found if target is not None}


def pending(machines: Collection[Machine], views: Views) -> int:
    """Pure. Requests under way at these machines, over all balancers."""
    found = (v.find(m.ident, m.host) for v in views.values() for m in machines)
    return sum(target.pending for target in found if target is not None)


def retire(
    aws: Aws,
    scope: Scope,
    machines: Collection[Machine],
    deadline_s: float,
    around: Surroundings,
) -> None:
    """Drain machines of groups and end them; their groups shrink by as many.

    Errors:
        CloudError: AWS or a balancer refused, or a machine is still there after the deadline.
    """
    if not machines:
        return
    idents = sorted(machine.ident for machine in machines)
    around.report(f"drain {', '.join(idents)}")
    balancers = balancers_in_front(aws, scope, members(aws, scope), around)
    if balancers is not None:  # else their group takes them out of the ALB and waits
        drain(balancers, machines, deadline_s, around)
    end_machines(aws, scope, idents, around)


def end_machines(aws: Aws, scope: Scope, idents: Collection[str], around: Surroundings) -> None:
    """End machines of groups, which shrink by as many; returns when they are gone.

    Errors:
        CloudError: AWS refused, or a machine is still there after the deadline.
    """
    for ident in idents:
        around.report(f"end {ident}")
        with unless("ValidationError"):  # it has left its group
            aws.call(
                "autoscaling",
                "terminate_instance_in_auto_scaling_group",
                InstanceId=ident,
                ShouldDecrementDesiredCapacity=True,
            )

    def missing() -> str:
        left = [m.ident for m in members(aws, scope).machines if m.ident in idents and _is_up(m)]
        return f"{', '.join(left)} still there" if left else ""

    wait_until("gone", missing, around.report, around.patience)


def drain_all(aws: Aws, scope: Scope, deadline_s: float, around: Surroundings) -> None:
    """Before the end of everything: requests under way are finished, new ones get 503.

    Nothing here keeps the end from coming: what cannot be asked is told.
    """
    try:
        now = members(aws, scope)
        workers = [one for one in now.machines if one.cluster and one.staying]
        reached = known(aws, [one.ident for one in now.balancers])
        if workers and reached:
            drain(Balancers(aws, reached, around.patience), workers, deadline_s, around)
    except CloudError as error:
        around.report(f"not drained: {error}")


def balancers_in_front(
    aws: Aws, scope: Scope, now: Members, around: Surroundings
) -> Balancers | None:
    """The balancers that run now; None where an ALB alone is in front. Raises CloudError."""
    if not now.balancers:
        ways = fronts(aws, scope)
        if ways and not any(way.ours for way in ways):
            return None
    return balancers_of(aws, now, around)


def balancers_of(aws: Aws, now: Members, around: Surroundings) -> Balancers:
    """The balancers that run now."""
    return Balancers(aws, [one.ident for one in now.balancers], around.patience)


def _is_up(machine: Machine) -> bool:
    return machine.state in ("pending", "running")
