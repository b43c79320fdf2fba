"""Running EC2 instances that carry given tags, or belong to an Auto Scaling group, or both.

An instance whose group is about to end it, or has set it aside, is left out while it still runs:
the registry lets it go when others are there to take its place, and its pending requests finish.
One that its group has not taken in yet waits outside. Needs ec2:DescribeInstances and, for
instances of groups, autoscaling:DescribeAutoScalingGroups.

boto3 is imported when the first ec2 source looks, in a thread, so that nobody else pays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from random import Random
from typing import Any, Final

from services.balancer.address import Address
from services.balancer.config import MAX_WEIGHT, Ec2Source, TargetSource
from services.balancer.fleet.discover.region import Instance, Region, Tags
from services.balancer.fleet.discover.source import DiscoveryError, Found
from services.contract import TAG_WEIGHT

CONNECT_S: Final = 2.0
READ_S: Final = 5.0
ATTEMPTS: Final = 3  # of one call, the first included; botocore waits between them
TAG_GROUP: Final = "aws:autoscaling:groupName"  # EC2 sets it on every instance of a group
IN_SERVICE: Final = "InService"
# Source: EC2 API, Filter: 200 values at most. Auto Scaling API: 50 names, 100 groups a page.
MAX_VALUES: Final = 200
MAX_NAMES: Final = 50
PAGE: Final = 1000

_DENIED: Final = {"UnauthorizedOperation", "AccessDenied", "AccessDeniedException"}


class Ec2:
    """One source: its instances among those of its region."""

    def __init__(self, config: Ec2Source, region: Region) -> None:
        wanted = wanted_tags(config)
        tags = ",".join(f"{key}={value}" for key, value in sorted(wanted.items()))
        kind = "" if config.address == "private" else f" {config.address}"
        self.name = f"ec2 {config.region} {tags}:{config.port}{kind}"
        self.interval_s = config.interval_s
        self._config = config
        self._wanted = wanted
        self._region = region

    async def look(self) -> Found:
        """The instances in service now. An answer without any is not trusted.

        With no other target to go to, those that are leaving serve on until they say themselves,
        by their health check, that they have had enough.
        """
        instances = [
            instance
            for instance in await self._region.instances(self.interval_s)
            if matches(instance.tags, self._wanted)
        ]
        idents: dict[Address, str] = {}
        weights: dict[Address, int] = {}
        notes: list[str] = []
        for instance in instances:
            if instance.lifecycle not in (None, IN_SERVICE):
                continue
            host = instance.private if self._config.address == "private" else instance.public
            if host is None:
                notes.append(f"instance {instance.ident} has no {self._config.address} address")
                continue
            address = Address(host, self._config.port)
            idents[address] = instance.ident
            weight = instance.tags.get(TAG_WEIGHT)
            if weight is None:
                continue
            if weight.isascii() and weight.isdigit() and 1 <= int(weight) <= MAX_WEIGHT:
                weights[address] = int(weight)
            else:
                notes.append(f"instance {instance.ident}: {TAG_WEIGHT} is not 1 to {MAX_WEIGHT}")
        if not instances:
            notes.append("no running instance matches")
        return Found(
            frozenset(idents),
            trusted=bool(idents),
            note="; ".join(notes) or None,
            instances=idents,
            weights=weights,
        )


class Regions:
    """The regions that one fleet asks, each shared by all its sources there."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._regions: dict[str, Region] = {}

    def want(self, entries: Iterable[TargetSource]) -> None:
        """All sources that there are; those of kinds other than ec2 are passed over."""
        wants: dict[str, list[Tags]] = {name: [] for name in self._regions}
        for entry in entries:
            if entry.ec2 is not None:
                wants.setdefault(entry.ec2.region, []).append(wanted_tags(entry.ec2))
        for name, tags in wants.items():
            self.region(name).want(tags)

    def region(self, name: str) -> Region:
        """By its name; asks nothing yet."""
        if name not in self._regions:
            self._regions[name] = Region(Api(name), rng=self._rng)
        return self._regions[name]


class Api:
    """What boto3 says of a region, with the credentials that it finds: on EC2, the role's."""

    def __init__(self, region: str, *, page: int = PAGE, attempts: int = ATTEMPTS) -> None:
        self._region = region
        self._page = page
        self._attempts = attempts
        self._clients: tuple[Any, Any] | None = None

    def __call__(self, wants: tuple[Tags, ...]) -> list[Instance]:
        """The running instances that have all tags of one want; blocks."""
        try:
            import boto3  # noqa: PLC0415 - an optional extra, paid for only by who uses it
            from botocore.config import Config  # noqa: PLC0415 - the same
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - the same
        except ImportError as error:
            raise DiscoveryError("boto3 is missing: install steelyard[balancer-aws]") from error
        try:
            if self._clients is None:
                config = Config(
                    connect_timeout=CONNECT_S,
                    read_timeout=READ_S,
                    retries={"mode": "adaptive", "total_max_attempts": self._attempts},
                    max_pool_connections=1,
                )
                session = boto3.session.Session(region_name=self._region)
                self._clients = (
                    session.client("ec2", config=config),
                    session.client("autoscaling", config=config),
                )
            ec2, autoscaling = self._clients
            found = [i for i in self._running(ec2, wants) if _any(_tags(i), wants)]
            groups = sorted({tags[TAG_GROUP] for i in found if TAG_GROUP in (tags := _tags(i))})
            states = dict(_lifecycles(autoscaling, groups))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "error")
            hint = ": the credentials do not allow it" if code in _DENIED else ""
            raise DiscoveryError(f"{error.operation_name}: {code}{hint}") from error
        except (BotoCoreError, OSError) as error:
            raise DiscoveryError(f"{self._region}: {' '.join(str(error).split())}") from error
        return [
            Instance(
                i["InstanceId"],
                i.get("PrivateIpAddress"),
                i.get("PublicIpAddress"),
                _tags(i),
                states.get(i["InstanceId"]),
            )
            for i in found
        ]

    def _running(self, ec2: Any, wants: tuple[Tags, ...]) -> Iterator[dict[str, Any]]:
        pages = ec2.get_paginator("describe_instances").paginate(
            Filters=filters(wants), PaginationConfig={"PageSize": self._page}
        )
        for page in pages:
            for reservation in page["Reservations"]:
                yield from reservation["Instances"]


def wanted_tags(config: Ec2Source) -> dict[str, str]:
    """What an instance must carry; being of a group is a tag, too."""
    group = {} if config.group is None else {TAG_GROUP: config.group}
    return {**config.tags, **group}


def matches(tags: Tags, wanted: Tags) -> bool:
    """Whether all wanted tags are there."""
    return all(tags.get(key) == value for key, value in wanted.items())


def filters(wants: tuple[Tags, ...]) -> list[dict[str, Any]]:
    """The narrowest filters of DescribeInstances that lose nothing of any want.

    A tag that all of them name narrows, with the values of all; the rest is sorted out here.
    """
    shared = set.intersection(*(set(want) for want in wants)) if wants else set()
    values = {key: sorted({want[key] for want in wants}) for key in sorted(shared)}
    narrowing = [
        {"Name": f"tag:{key}", "Values": named}
        for key, named in values.items()
        if len(named) <= MAX_VALUES
    ]
    return [{"Name": "instance-state-name", "Values": ["running"]}, *narrowing]


def _any(tags: Tags, wants: tuple[Tags, ...]) -> bool:
    return any(matches(tags, want) for want in wants)


def _tags(instance: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in instance.get("Tags", ())}


def _lifecycles(autoscaling: Any, groups: list[str]) -> Iterator[tuple[str, str]]:
    paginator = autoscaling.get_paginator("describe_auto_scaling_groups")
    for start in range(0, len(groups), MAX_NAMES):
        for page in paginator.paginate(AutoScalingGroupNames=groups[start : start + MAX_NAMES]):
            for group in page["AutoScalingGroups"]:
                for member in group["Instances"]:
                    yield member["InstanceId"], member["LifecycleState"]
