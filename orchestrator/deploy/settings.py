"""`deploy.yaml` as frozen data: what a deployment is made of. Types and bounds of single values.

What AWS would refuse only in the middle of a run (an unknown type, min above max) is refused here.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from orchestrator.deploy.machines import TYPES, Architecture
from orchestrator.deploy.problems import nearest
from services.contract import CLUSTER_LARGE, CLUSTER_MICRO, DRAIN_FRONT_S, PROJECT

MAX_GROUP: Final = 100  # machines of one group; more is likely a slip of the finger
MIN_TTL_S: Final = 15 * 60
MAX_TTL_S: Final = 30 * 86_400
DISK_GIB: Final = 8  # what the AL2023 image asks for
MIN_SLOW_START_S: Final = 30
MAX_SLOW_START_S: Final = 900
MAX_ELB_NAME: Final = 32  # of a load balancer or a target group
MAX_BALANCERS: Final = 10
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}


def _known_type(name: str) -> str:
    if name not in TYPES:
        raise ValueError(f"unknown instance type {name!r}; {nearest(name, TYPES)}")
    return name


def _network(text: str) -> str:
    try:
        return str(ipaddress.IPv4Network(text))
    except ValueError as error:
        raise ValueError(f"not an IPv4 network: {error}; write it as 203.0.113.0/24") from None


def _duration_s(value: object) -> object:
    match = re.fullmatch(r"(\d+)([mhd])", value) if isinstance(value, str) else None
    if not match:
        raise ValueError("not a duration; write 30m, 4h or 2d")
    return int(match[1]) * _UNITS[match[2]]


Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,22}[a-z0-9])?$")]
TypeName = Annotated[str, AfterValidator(_known_type)]
Network = Annotated[str, AfterValidator(_network)]
Duration = Annotated[int, BeforeValidator(_duration_s), Field(ge=MIN_TTL_S, le=MAX_TTL_S)]
Size = Annotated[int, Field(ge=0, le=MAX_GROUP)]
Tag = Annotated[str, Field(pattern=r"^[\w][\w.-]{0,127}$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
Front = Literal["balancer", "alb", "both"]
Algorithm = Literal["round_robin", "least_outstanding_requests", "weighted_random"]
ALGORITHMS: Final[tuple[str, ...]] = get_args(Algorithm)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


class Scale(_Frozen):
    """Bounds of an Auto Scaling group and where it aims. Source: target tracking at 50 % CPU."""

    min: Size = 0
    max: Size = 3
    desired: Size = 1
    cpu_percent: Annotated[int, Field(ge=10, le=90)] = 50
    cooldown_s: Annotated[int, Field(ge=0, le=3600)] = 300

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        if not self.min <= self.desired <= self.max:
            raise ValueError(f"desired {self.desired} is not from {self.min} to {self.max}")
        return self


class Cluster(_Frozen):
    """Equal machines that serve `/<name>`: a fixed `count` of them, or as many as `scale` says."""

    name: Name
    type: TypeName
    count: Annotated[int, Field(ge=1, le=MAX_GROUP)] | None = None
    scale: Scale | None = None
    spot: bool = False
    work_ms: Annotated[float, Field(ge=0, le=60_000)] = 0

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.count is None) == (self.scale is None):
            raise ValueError("give either count or scale")
        return self

    @property
    def bounds(self) -> Scale:
        """Min, max and desired, whichever way the size is given."""
        if self.scale is not None:
            return self.scale
        count = self.count or 0
        return Scale(min=count, max=count, desired=count)


class Balancer(_Frozen):
    """The balancer's own machine with an Elastic IP, or several behind a network load balancer.

    Source of the delay's bounds: ELB user guide, "Target groups for your Network Load Balancers".
    """

    type: TypeName = "t3.small"
    count: Annotated[int, Field(ge=1, le=MAX_BALANCERS)] = 1
    # With several. A balancer is told to end DRAIN_FRONT_S after it was taken out: its clients need
    # a moment to hear of it before they are cut off.
    deregistration_delay_s: Annotated[int, Field(ge=DRAIN_FRONT_S + 15, le=3600)] = 60


class Alb(_Frozen):
    """Attributes of the load balancer's target groups. Source: ELB user guide, "Target groups"."""

    algorithm: Algorithm = "least_outstanding_requests"
    deregistration_delay_s: Annotated[int, Field(ge=0, le=3600)] = 30
    slow_start_s: int = 0  # off, or 30 to 900

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.slow_start_s and not MIN_SLOW_START_S <= self.slow_start_s <= MAX_SLOW_START_S:
            raise ValueError(
                f"slow_start_s {self.slow_start_s} is neither 0 nor from"
                f" {MIN_SLOW_START_S} to {MAX_SLOW_START_S}"
            )
        if self.slow_start_s and self.algorithm != "round_robin":
            raise ValueError(f"{self.algorithm} knows no slow start; round_robin does")
        return self


class Ssh(_Frozen):
    """Port 22 from the caller's own address only, with a key pair that EC2 has already."""

    key_pair: Annotated[str, Field(min_length=1, max_length=255)]


class Alarms(_Frozen):
    """Who is told, and above which bounds of a cluster."""

    email: Email
    errors_percent: Annotated[float, Field(gt=0, le=100)] = 1  # answers with 5xx
    latency_ms: Annotated[float, Field(gt=0, le=60_000)] = 1000  # of the slowest one percent
    cpu_percent: Annotated[float, Field(gt=0, le=100)] = 90  # of the busiest machine


class Budget(_Frozen):
    """A monthly limit in US dollars, and who is told when it is near."""

    usd_month: Annotated[float, Field(gt=0)]
    email: Email


def _of_both(value: object) -> object:
    return {"worker": value, "balancer": value} if isinstance(value, str) else value


class Tags(_Frozen):
    """Which image each room runs, where it shall not be the one that was pushed last."""

    worker: Tag | None = None
    balancer: Tag | None = None


ImageTags = Annotated[Tags, BeforeValidator(_of_both)]


class Deployment(_Frozen):
    """The whole file."""

    name: Name
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    clusters: Annotated[tuple[Cluster, ...], Field(min_length=1, max_length=20)]
    front: Front = "balancer"
    balancer: Balancer = Balancer()
    alb: Alb = Alb()
    access: Annotated[tuple[Network, ...], Field(min_length=1, max_length=50)]
    ssh: Ssh | None = None
    ttl: Duration | None = None  # seconds once read
    alarms: Alarms | None = None
    dashboard: bool = True
    budget: Budget | None = None
    vpc: Annotated[str, Field(pattern=r"^vpc-[0-9a-f]+$")] | None = None
    subnets: tuple[Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")], ...] = ()
    image_tag: ImageTags | None = None  # the images that were pushed last

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [cluster.name for cluster in self.clusters]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two clusters are called {twice[0]!r}")
        if "balancer" in names:
            raise ValueError("no cluster may be called 'balancer'")
        if self.subnets and self.vpc is None:
            raise ValueError("subnets are named without their vpc")
        if self.has_alb and len(self.subnets) == 1:
            raise ValueError("an ALB needs subnets in two zones, one is named")
        for listed, what in ((self.subnets, "subnet"), (self.access, "network")):
            again = sorted({one for one in listed if listed.count(one) > 1})
            if again:
                raise ValueError(f"{what} {again[0]} is named twice")
        self._names_fit()
        return self

    def _names_fit(self) -> None:
        behind = [cluster.name for cluster in self.clusters] if self.has_alb else []
        for name in (*behind, *(["balancer"] if self.has_nlb else [])):
            full = f"{PROJECT}-{self.name}-{name}"
            if len(full) > MAX_ELB_NAME:
                raise ValueError(
                    f"{full} has {len(full)} characters, a target group's name has at most"
                    f" {MAX_ELB_NAME}; choose shorter names"
                )

    @property
    def has_balancer(self) -> bool:
        """Steelyard's own balancer is in front."""
        return self.front != "alb"

    @property
    def has_nlb(self) -> bool:
        """There are several of it, behind a network load balancer."""
        return self.has_balancer and self.balancer.count > 1

    @property
    def has_alb(self) -> bool:
        """An application load balancer is in front, alone or beside it."""
        return self.front != "balancer"

    def tag_of(self, room: str) -> str | None:
        """The tag that the file names for `worker` or `balancer`; None: the newest image."""
        tag: str | None = getattr(self.image_tag, room, None)
        return tag

    def architectures_of(self, room: str) -> tuple[Architecture, ...]:
        """Every architecture that the image of `worker` or `balancer` runs on, each once."""
        clusters = [cluster.type for cluster in self.clusters]
        balancers = [self.balancer.type] if self.has_balancer else []
        names = clusters if room == "worker" else balancers
        return tuple(dict.fromkeys(TYPES[name].architecture for name in names))

    @property
    def architectures(self) -> tuple[Architecture, ...]:
        """Every architecture that a machine image is needed for, each once."""
        both = (*self.architectures_of("balancer"), *self.architectures_of("worker"))
        return tuple(dict.fromkeys(both))


def _pair(first: tuple[str, int], second: tuple[str, int]) -> list[dict[str, object]]:
    return [
        {"name": CLUSTER_MICRO, "type": first[0], "count": first[1]},
        {"name": CLUSTER_LARGE, "type": second[0], "count": second[1]},
    ]


_SCALE: Final = {"min": 0, "max": 3, "desired": 1}
PRESETS: Final[dict[str, list[dict[str, object]]]] = {
    "pair": _pair(("t2.micro", 1), ("t2.large", 1)),
    "eight": _pair(("t2.micro", 4), ("t2.large", 4)),
    "t3": _pair(("t3.medium", 2), ("t3.micro", 3)),
    "scaling": [
        {"name": CLUSTER_MICRO, "type": "t2.micro", "scale": _SCALE},
        {"name": CLUSTER_LARGE, "type": "t2.large", "scale": _SCALE},
    ],
}
