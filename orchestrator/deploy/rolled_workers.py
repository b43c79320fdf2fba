"""Workers that are replaced: fit when every balancer thinks so, and a load balancer beside them."""

from __future__ import annotations

from collections.abc import Collection

from orchestrator.aws.door import Aws
from orchestrator.deploy.balancers import Views
from orchestrator.deploy.drain import balancers_in_front, retire
from orchestrator.deploy.fronts import HEALTHY, target_healths
from orchestrator.deploy.members import Group, Machine, Members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.replace import Look, Speed
from orchestrator.deploy.resource import Scope


class RolledWorkers:
    """The `Part` of a roll that workers are."""

    def __init__(self, aws: Aws, scope: Scope, speed: Speed, around: Surroundings) -> None:
        self._aws, self._scope, self._speed, self._around = aws, scope, speed, around

    def restore(self, good: Collection[Machine]) -> None:
        """Whoever was drained is ended all the same: a balancer's drain has no memory."""

    def look(self, now: Members, group: Group, good: Collection[Machine]) -> Look:
        """Healthy for so long in every balancer, and behind a load balancer where one is."""
        balancers = balancers_in_front(self._aws, self._scope, now, self._around)
        views = balancers.look() if balancers is not None else {}
        behind = target_healths(self._aws, self._scope, group.name).get(group.name)
        unfit = {one.ident: self._unfit(one, views) for one in good}
        for one in good:
            state = HEALTHY if behind is None else behind.get(one.ident, "unknown")
            if state != HEALTHY:
                unfit[one.ident] = f"is {state} behind its load balancer"
        return Look(views, {ident: why for ident, why in unfit.items() if why})

    def retire(self, machines: Collection[Machine]) -> None:
        """Drained in every balancer, then ended."""
        retire(self._aws, self._scope, machines, self._speed.drain_s, self._around)

    def _unfit(self, machine: Machine, views: Views) -> str:
        seen = [view.find(machine.ident, machine.host) for view in views.values()]
        warm = machine.in_service and all(
            target is not None
            and target.state == "healthy"
            and target.steady_s >= self._speed.warm_s
            for target in seen
        )
        return "" if warm else "not warm yet"
