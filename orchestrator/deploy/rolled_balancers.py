"""Balancers that are replaced behind their load balancer: made before the old ones are broken.

A new one is given to the load balancer when it knows what the old ones know, and not before: the
group adds none by itself during a roll. It is fit when the load balancer finds it healthy. An old
one gets no new connection, then tells its clients to go, answers what it has, and ends.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
from orchestrator.deploy.balancers import Balancers, Views
from orchestrator.deploy.drain import end_machines
from orchestrator.deploy.fronts import HEALTHY, health_in
from orchestrator.deploy.members import BALANCER, Group, Machine, Members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.remote import known, run
from orchestrator.deploy.replace import Look, Speed
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.resources.gone import unless
from orchestrator.deploy.successor import stop_serving, unfit

# As the load balancer has them. Source: Elastic Load Balancing API reference, TargetHealth.
_TAKING: Final = frozenset({"initial", HEALTHY, "unhealthy", "unhealthy.draining"})
_START: Final = "docker start steelyard 2>/dev/null || true"  # not there: it is still booting


class RolledBalancers:
    """The `Part` of a roll that balancers in a group are."""

    def __init__(self, aws: Aws, scope: Scope, speed: Speed, around: Surroundings) -> None:
        self._aws, self._scope, self._speed, self._around = aws, scope, speed, around
        self._fit_since: dict[str, float] = {}

    def restore(self, good: Collection[Machine]) -> None:
        """One that was stopped, but not ended, is started again; `look` gives it clients."""
        reached = known(self._aws, [one.ident for one in good]) if good else set()
        if reached:
            run(self._aws, reached, _START, self._around.patience, about="start")

    def look(self, now: Members, group: Group, good: Collection[Machine]) -> Look:
        """A new one that is fit by itself, and has been for so long, gets its share of clients."""
        running = [one.ident for one in group.staying if one.state == "running"]
        views = Balancers(self._aws, running, self._around.patience).look_at_answering()
        healths = health_in(self._aws, self._target_group())
        olds = [one.ident for one in group.staying if one not in good]
        why = {
            one.ident: self._unfit(one, olds, views, healths.get(one.ident) in _TAKING)
            for one in good
        }
        ready = [one for one in good if not why[one.ident]]
        apart = [one.ident for one in ready if healths.get(one.ident) not in _TAKING]
        if apart:
            self._around.report(f"register {', '.join(apart)}")
            self._register(apart)
        for one in ready:
            state = healths.get(one.ident, "unknown")
            if state != HEALTHY:
                why[one.ident] = f"is {state} behind its load balancer"
        return Look(views, {ident: told for ident, told in why.items() if told})

    def retire(self, machines: Collection[Machine]) -> None:
        """No new connections, then no new requests, then nothing is under way, then the end."""
        idents = sorted(machine.ident for machine in machines)
        arn = self._target_group()
        self._around.report(f"deregister {', '.join(idents)}")
        for ident in idents:  # one by one: a single one that is gone would keep all of them
            with unless("InvalidTarget"):
                self._aws.call(
                    "elbv2", "deregister_targets", TargetGroupArn=arn, Targets=[{"Id": ident}]
                )
        begun = self._around.clock()

        def missing() -> str:
            healths = health_in(self._aws, arn)
            taking = [ident for ident in idents if healths.get(ident) in _TAKING]
            if taking:
                return f"{', '.join(taking)} still takes connections"
            over = self._around.clock() - begun >= self._speed.notice_s
            return "" if over else f"no new connections for {self._speed.notice_s:g} s"

        wait_until("deregistered", missing, self._around.report, self._around.patience)
        stop_serving(self._aws, idents, self._around.report, self._around.patience)
        end_machines(self._aws, self._scope, idents, self._around)

    def _unfit(self, one: Machine, olds: Collection[str], views: Views, has_clients: bool) -> str:
        """What speaks against it but for the load balancer's word."""
        if not one.in_service:
            why = "is not in service"
        elif one.ident not in views:
            why = "boots"
        else:
            why = unfit(views, one.ident, olds)
        if why:
            self._fit_since.pop(one.ident, None)
            return why
        since = self._fit_since.setdefault(one.ident, self._around.clock())
        warm = self._around.clock() - since >= self._speed.warm_s
        return "" if warm or has_clients else "not warm yet"

    def _register(self, idents: Collection[str]) -> None:
        targets = [{"Id": ident} for ident in idents]
        arn = self._target_group()
        self._aws.call("elbv2", "register_targets", TargetGroupArn=arn, Targets=targets)

    def _target_group(self) -> str:
        for one in BY_NAME["target group"].find(self._aws, self._scope):
            if one.key.name == BALANCER:
                return one.ident
        raise CloudError("roll --balancer", "no target group of balancers", "steelyard up makes it")
