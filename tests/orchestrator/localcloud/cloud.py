"""A local cloud without containers: fake machines, a clock that is set, everything at once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3

from orchestrator.engine import EngineError
from orchestrator.localcloud.addresses import real_addresses
from orchestrator.localcloud.alarms import alarms_begin_unknown
from orchestrator.localcloud.commands import real_commands
from orchestrator.localcloud.console import real_consoles
from orchestrator.localcloud.gaps import filled
from orchestrator.localcloud.group_calls import real_groups
from orchestrator.localcloud.instances import real_instances
from orchestrator.localcloud.metric_data import real_metric_data
from orchestrator.localcloud.steps import STEPS
from orchestrator.localcloud.targets import real_target_health
from orchestrator.localcloud.world import Birth, Clock, Ran, Step, World
from tests.emulated import emulated

REGION = "eu-west-1"
ELASTIC = ipaddress.IPv4Network("10.9.8.0/24")
BEGUN = 1_760_000_000.0


class FakeMachines:
    """`Machines` that boot when told: `boots` says which; all at once unless it is changed."""

    def __init__(self) -> None:
        self.boots: Callable[[str], bool] = lambda _ident: True
        self.cpu: dict[str, float] = {}
        self.born: list[Birth] = []
        self.scripts: list[tuple[str, str]] = []
        self.ran = Ran(0, "", "")  # what every script answers
        self.consoles: dict[str, str] = {}
        self.given: dict[str, str] = {}  # machine by Elastic address
        self._on: dict[str, str] = {}

    def start(self, birth: Birth) -> str:
        if not self.boots(birth.ident):
            raise EngineError("no room")
        self.born.append(birth)
        self._on[birth.ident] = f"10.0.0.{len(self.born)}"
        self.cpu[birth.ident] = 0.0
        return self._on[birth.ident]

    def running(self) -> Mapping[str, str]:
        return dict(self._on)

    def end(self, ident: str) -> None:
        self._on.pop(ident, None)
        self.cpu.pop(ident, None)

    kill = end

    def run(self, ident: str, script: str, timeout_s: float) -> Ran:
        self.scripts.append((ident, script))
        return self.ran

    def console(self, ident: str) -> str:
        return self.consoles.get(ident, "")

    def give_address(self, ident: str, address: str) -> None:
        self.given[address] = ident

    def take_address(self, ident: str, address: str) -> None:
        if self.given.get(address) == ident:
            del self.given[address]

    def cpu_s(self) -> Mapping[str, float]:
        return dict(self.cpu)


class AtOnce(ThreadPoolExecutor):
    """A pool whose work is done when it is handed in."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except EngineError as error:
            future.set_exception(error)
        return future


@dataclass
class Cloud:
    """The world, its API, and a hand on its clock."""

    machines: FakeMachines = field(default_factory=FakeMachines)
    steps: Iterable[Step] = STEPS
    told: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.wall_s = BEGUN
        self.world = World(
            machines=self.machines,
            clock=Clock(wall=lambda: self.wall_s, begun=BEGUN),
            region=REGION,
            report=self.told.append,
            pool=AtOnce(1),
        )

    def after(self, seconds: float = 0.0, *, ticks: int = 3) -> None:
        """Time passes, then every step is taken some times."""
        self.wall_s += seconds
        for _ in range(ticks):
            for step in self.steps:
                step(self.world)

    def call(self, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(client(service), operation)(**arguments)
        return answer

    def group(self, name: str = "web") -> dict[str, Any] | None:
        found = self.call(
            "autoscaling", "describe_auto_scaling_groups", AutoScalingGroupNames=[name]
        )
        return next(iter(found["AutoScalingGroups"]), None)

    def states(self, name: str = "web") -> dict[str, str]:
        """Lifecycle state by instance id."""
        group = self.group(name)
        assert group is not None
        return {one["InstanceId"]: one["LifecycleState"] for one in group["Instances"]}

    def make_group(self, name: str = "web", **changes: Any) -> None:
        """A template and a group that launches from it, one machine unless told otherwise."""
        (subnet, *_) = self.call("ec2", "describe_subnets")["Subnets"]
        self.call(
            "ec2",
            "create_launch_template",
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "t2.micro"},
        )
        self.call(
            "autoscaling",
            "create_auto_scaling_group",
            **{
                "AutoScalingGroupName": name,
                "LaunchTemplate": {"LaunchTemplateName": name, "Version": "$Default"},
                "MinSize": 0,
                "MaxSize": 3,
                "DesiredCapacity": 1,
                "VPCZoneIdentifier": subnet["SubnetId"],
                **changes,
            },
        )

    def hook(self, transition: str, name: str = "drain", **changes: Any) -> None:
        self.call(
            "autoscaling",
            "put_lifecycle_hook",
            **{
                "AutoScalingGroupName": "web",
                "LifecycleHookName": name,
                "LifecycleTransition": f"autoscaling:EC2_INSTANCE_{transition}",
                "HeartbeatTimeout": 60,
                "DefaultResult": "CONTINUE",
                **changes,
            },
        )

    def desire(self, count: int) -> None:
        self.call(
            "autoscaling",
            "set_desired_capacity",
            AutoScalingGroupName="web",
            DesiredCapacity=count,
        )


@cache
def client(service: str) -> Any:
    """One for all: reading the service descriptions is most of a test's time otherwise."""
    return boto3.client(service, REGION)


_RESET = ("autoscaling", "elbv2", "cloudwatch", "sns")


@contextmanager
def an_account() -> Iterator[None]:
    """moto, for the clouds of a whole file: to set up its EC2 takes longer than most tests."""
    with emulated():
        yield


@contextmanager
def a_cloud() -> Iterator[Cloud]:
    """A cloud within `an_account`, with nothing in it."""
    cloud = Cloud()
    with ExitStack() as stack:
        for patches in (
            filled(),
            real_instances(cloud.world),
            real_groups(cloud.world),
            real_target_health(cloud.world),
            real_metric_data(),
            alarms_begin_unknown(),
            real_addresses(cloud.world, ELASTIC),
            real_commands(cloud.world),
            real_consoles(cloud.world),
        ):
            stack.enter_context(patches)
        yield cloud
        for service in _RESET:
            cloud.world.backend(service).reset()
        ec2 = cloud.world.backend("ec2")
        for known in (ec2.reservations, ec2.launch_templates, ec2.launch_template_name_to_ids):
            known.clear()
