"""The end of `up`: every machine in service is healthy in the eyes of every balancer and of every
load balancer, and each cluster answers a client from here, by each way in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
from orchestrator.deploy.balancers import Balancers, Views
from orchestrator.deploy.boots import boot_failures
from orchestrator.deploy.fronts import ACTIVE, Front, fronts, target_healths, unhealthy_targets
from orchestrator.deploy.members import Machine, Members, members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.remote import known
from orchestrator.deploy.resource import Scope

Get = Callable[[str], int]  # the status of GET url; 0: no answer
OK: Final = 200
_BOOTS_EVERY: Final = 4  # looks at machines between two looks at their boots


def wait_ready(aws: Aws, scope: Scope, get: Get, around: Surroundings) -> list[Front]:
    """Until the deployment serves; the ways in.

    Errors:
        CloudError: a machine's boot failed (with the end of what it told), or the deadline passed.
    """
    looks = 0
    ways: list[Front] = []

    def missing() -> str:
        nonlocal looks, ways
        looks += 1
        now = members(aws, scope)
        ways = fronts(aws, scope)
        late = _not_serving(aws, scope, now, ways, around)
        if late and looks % _BOOTS_EVERY == 0:
            _stop_at_failed_boots(aws, now, around)
        if late:
            return late
        paths = [f"{way.url}/{g.cluster}" for way in ways for g in now.clusters if g.desired]
        answers = {path: get(path) for path in paths}
        wrong = [f"{path} answers {status or 'nothing'}" for path, status in answers.items()]
        return ", ".join(w for w, s in zip(wrong, answers.values(), strict=True) if s != OK)

    wait_until("through the front", missing, around.report, around.patience)
    return ways


def unhealthy(now: Members, views: Views) -> list[str]:
    """Pure. Whatever keeps the fleet from serving, a phrase for each group and balancer."""
    told = [f"balancer {ident} is not ready" for ident, view in views.items() if not view.ready]
    for group in now.clusters:
        serving = [m for m in group.staying if serves(m, views)]
        if len(serving) < group.desired:
            told.append(f"{group.name} {len(serving)} of {group.desired} healthy")
    return told


def serves(machine: Machine, views: Views) -> bool:
    """Pure. In service, and healthy in every balancer's eyes."""
    seen = (view.find(machine.ident, machine.host) for view in views.values())
    return machine.in_service and all(target and target.state == "healthy" for target in seen)


def _not_serving(
    aws: Aws, scope: Scope, now: Members, ways: list[Front], around: Surroundings
) -> str:
    if not ways:
        return "there is no way in yet"
    slow = [f"{way.host} is {way.state}" for way in ways if way.state != ACTIVE]
    if slow:
        return ", ".join(slow)
    if any(way.ours for way in ways):
        late = _not_through_balancers(aws, now, around)
        if late:
            return late
    return ", ".join(unhealthy_targets(now, target_healths(aws, scope)))


def _not_through_balancers(aws: Aws, now: Members, around: Surroundings) -> str:
    idents = [one.ident for one in now.balancers]
    if not idents:
        return "no balancer runs yet"
    silent = set(idents) - known(aws, idents)
    if silent:
        return f"balancer {', '.join(sorted(silent))} boots"
    try:
        views = Balancers(aws, idents, around.patience).look()
    except CloudError as error:
        # Its container is being pulled: the admin API refuses connections until it runs.
        return f"the balancer boots ({error.cause[-60:]})"
    return ", ".join(unhealthy(now, views))


def _stop_at_failed_boots(aws: Aws, now: Members, around: Surroundings) -> None:
    running = [m.ident for m in now.machines if m.staying and m.state == "running"]
    failures = boot_failures(aws, running, around.patience)
    for ident, told in failures.items():
        around.report(f"{ident} failed to boot:\n{told}")
    if failures:
        raise CloudError(
            f"boot of {', '.join(failures)}",
            next(iter(failures.values())).splitlines()[-1],
            "steelyard status shows all of it; mend the cause, then: steelyard down, steelyard up",
        )
