"""The machines of a deployment and their groups as AWS has them now: two calls, however many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Scope, as_dict
from orchestrator.deploy.resources.machine import ALIVE, instances
from services.contract import TAG_CLUSTER, TAG_RESOURCE, TAG_ROLL, TAG_TEMPLATE

BALANCER: Final = "balancer"
_WAY_OUT: Final = ("Terminat", "Detach")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One instance. `lifecycle` and `health` are its group's words; empty without a group."""

    ident: str
    resource: str  # which part of the deployment
    cluster: str  # empty: a balancer
    state: str
    host: str  # private address
    public: str
    lifecycle: str
    health: str
    version: str  # of its launch template, as its group has it
    template: str  # digest of that version
    launched: str

    @property
    def staying(self) -> bool:
        """Alive and not on its way out."""
        return self.state in ("pending", "running") and not self.lifecycle.startswith(_WAY_OUT)

    @property
    def in_service(self) -> bool:
        """Its group counts it as working."""
        return self.staying and self.lifecycle == "InService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group of machines."""

    name: str
    ident: str
    cluster: str
    min: int
    max: int
    desired: int
    suspended: tuple[str, ...]
    roll: str  # what the roll that is under way noted here; empty: none is
    machines: tuple[Machine, ...]

    @property
    def staying(self) -> tuple[Machine, ...]:
        """Those not on their way out."""
        return tuple(one for one in self.machines if one.staying)


@dataclass(frozen=True, slots=True)
class Members:
    """All of a deployment."""

    groups: tuple[Group, ...]
    machines: tuple[Machine, ...]

    @property
    def balancers(self) -> tuple[Machine, ...]:
        """The balancers that run."""
        found = (m for m in self.machines if m.resource == BALANCER and m.staying)
        return tuple(m for m in found if m.state == "running")

    @property
    def clusters(self) -> tuple[Group, ...]:
        """The groups of workers."""
        return tuple(group for group in self.groups if group.cluster)


def members(aws: Aws, scope: Scope) -> Members:
    """Look. Raises CloudError."""
    found = list(
        aws.pages(
            "autoscaling",
            "describe_auto_scaling_groups",
            "AutoScalingGroups",
            Filters=scope.filters,
        )
    )
    told = {one["InstanceId"]: one for group in found for one in group["Instances"]}
    alive = (*ALIVE, "shutting-down")
    machines = [_machine(one, told) for one in instances(aws, scope, alive)]
    machines.sort(key=lambda m: (m.resource, m.launched, m.ident))
    by_ident = {machine.ident: machine for machine in machines}
    groups = tuple(_group(group, by_ident) for group in found)
    return Members(tuple(sorted(groups, key=lambda g: g.name)), tuple(machines))


def _machine(one: dict[str, Any], groups: dict[str, Any]) -> Machine:
    tags = as_dict(one.get("Tags"))
    member = groups.get(one["InstanceId"], {})
    return Machine(
        ident=one["InstanceId"],
        resource=tags.get(TAG_RESOURCE, ""),
        cluster=tags.get(TAG_CLUSTER, ""),
        state=one["State"]["Name"],
        host=one.get("PrivateIpAddress", ""),
        public=one.get("PublicIpAddress", ""),
        lifecycle=member.get("LifecycleState", ""),
        health=member.get("HealthStatus", ""),
        version=str(member.get("LaunchTemplate", {}).get("Version", "")),
        template=tags.get(TAG_TEMPLATE, ""),
        launched=str(one.get("LaunchTime", "")),
    )


def _group(one: dict[str, Any], machines: dict[str, Machine]) -> Group:
    tags = as_dict(one.get("Tags"))
    idents = [member["InstanceId"] for member in one["Instances"]]
    return Group(
        name=tags.get(TAG_RESOURCE, ""),
        ident=one["AutoScalingGroupName"],
        cluster=tags.get(TAG_CLUSTER, ""),
        min=one["MinSize"],
        max=one["MaxSize"],
        desired=one["DesiredCapacity"],
        suspended=tuple(p["ProcessName"] for p in one.get("SuspendedProcesses", ())),
        roll=tags.get(TAG_ROLL, ""),
        machines=tuple(machines[ident] for ident in idents if ident in machines),
    )
