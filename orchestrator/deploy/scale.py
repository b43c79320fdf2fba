"""Other sizes of groups, now: more are waited for until they serve, fewer are drained and gone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import wait_until
from orchestrator.deploy.drain import DEADLINE_S, balancers_in_front, retire
from orchestrator.deploy.fronts import HEALTHY, target_healths
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.members import Group, Machine, members
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.ready import serves
from orchestrator.deploy.resource import Key, Scope, as_list
from orchestrator.deploy.settings import MAX_GROUP, Cluster, Deployment
from services.contract import TAG_SPEC

_BY_HAND: Final = "by-hand"  # no digest: the next `up` sees that the group is not as wanted


def check(deployment: Deployment, sizes: Mapping[str, int]) -> None:
    """Pure. Raises CloudError for what the file does not allow."""
    clusters = {cluster.name: cluster for cluster in deployment.clusters}
    for name, size in sizes.items():
        cluster = clusters.get(name)
        if cluster is None:
            raise CloudError(f"scale {name}", "no such cluster", f"one of {', '.join(clusters)}")
        low, high = (cluster.scale.min, cluster.scale.max) if cluster.scale else (1, MAX_GROUP)
        if not low <= size <= high:
            limit = f"max {high}" if size > high else f"min {low}"
            word = "max" if size > high else "min"
            raise CloudError(
                f"scale {name}={size}",
                f"{limit} stands in the way",
                f"set scale.{word} of {name} in deploy.yaml, then: steelyard up"
                if cluster.scale
                else "a fixed cluster has 1 machine at least",
            )


def scale(
    aws: Aws,
    deployment: Deployment,
    sizes: Mapping[str, int],
    journal: Journal,
    around: Surroundings,
) -> None:
    """Bring clusters to these sizes, by name.

    Errors:
        CloudError: out of bounds, a roll is under way, refused, or not there at the deadline.
    """
    check(deployment, sizes)
    scope = Scope(deployment.name)
    groups = {group.name: group for group in members(aws, scope).clusters}
    for cluster in deployment.clusters:
        if cluster.name not in sizes:
            continue
        group = groups.get(cluster.name)
        if group is None:
            raise CloudError(f"scale {cluster.name}", "it has no group", "steelyard up makes it")
        if group.roll:
            raise CloudError(
                f"scale {cluster.name}", "a roll is under way", "end it: steelyard roll"
            )
        with journal.around("scale", Key("group", cluster.name), size=sizes[cluster.name]):
            _resize(aws, scope, cluster, group, sizes[cluster.name], around)
    _wait_serving(aws, scope, sizes, around)


def _resize(  # noqa: PLR0917 - one of each
    aws: Aws, scope: Scope, cluster: Cluster, group: Group, size: int, around: Surroundings
) -> None:
    if cluster.scale is None:
        around.report(
            f"{group.name}: deploy.yaml says count: {cluster.count}, "
            "and the next up makes it so again"
        )
        tag = as_list({TAG_SPEC: _BY_HAND})[0] | {
            "ResourceId": group.ident,
            "ResourceType": "auto-scaling-group",
            "PropagateAtLaunch": False,
        }
        aws.call("autoscaling", "create_or_update_tags", Tags=[tag])
    low, high = (cluster.scale.min, cluster.scale.max) if cluster.scale else (size, size)
    going = _last_wanted(group)[: max(0, len(group.staying) - size)]
    # Below its minimum no machine could be ended; above its maximum a group would end one itself.
    present = max(size, len(group.staying))
    _update(aws, group, min(low, size), max(high, present), present)
    retire(aws, scope, going, DEADLINE_S, around)
    if going:
        _update(aws, group, low, high, size)


def _last_wanted(group: Group) -> list[Machine]:
    """Those that do not work first, then the youngest: caches of the oldest are warm."""
    young = sorted(group.staying, key=lambda m: (m.launched, m.ident), reverse=True)
    return sorted(young, key=lambda m: m.in_service)


def _update(aws: Aws, group: Group, low: int, high: int, size: int) -> None:
    aws.call(
        "autoscaling",
        "update_auto_scaling_group",
        AutoScalingGroupName=group.ident,
        MinSize=low,
        MaxSize=high,
        DesiredCapacity=size,
    )


def _wait_serving(aws: Aws, scope: Scope, sizes: Mapping[str, int], around: Surroundings) -> None:
    def missing() -> str:
        now = members(aws, scope)
        balancers = balancers_in_front(aws, scope, now, around)
        views = balancers.look() if balancers is not None else {}
        healths = target_healths(aws, scope)
        told = []
        for group in now.clusters:
            if group.name in sizes and group.desired < sizes[group.name]:
                raise CloudError(
                    f"scale {group.name}",
                    f"something else, its policy perhaps, has set it to {group.desired}",
                    "raise scale.min in deploy.yaml to keep more, then: steelyard up",
                )
            behind = healths.get(group.name)
            serving = sum(
                serves(one, views) and (behind is None or behind.get(one.ident) == HEALTHY)
                for one in group.staying
            )
            if group.name in sizes and serving < sizes[group.name]:
                told.append(f"{group.name} {serving} of {sizes[group.name]} healthy")
        return ", ".join(told)

    wait_until("scale", missing, around.report, around.patience)
