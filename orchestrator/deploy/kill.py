"""The kill switch: all of the project, in every enabled region, whatever the journal says.

Machines first, everywhere at once; then all else that carries the tag, repositories of images too.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Final

from orchestrator import ecr
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report
from orchestrator.deploy.down import prove_empty, wait_gone
from orchestrator.deploy.plan import find_all
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.resources.gone import when_let_go
from orchestrator.deploy.resources.group import Group
from orchestrator.deploy.resources.machine import ALIVE, instances

_AT_ONCE: Final = 8
_ALL: Final = Scope()


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What happened in one region; `error` is empty when nothing of the project is left there."""

    region: str
    machines: int
    things: int
    error: str = ""


def enabled_regions(aws: Aws) -> list[str]:
    """The regions that this account may use. Raises CloudError."""
    regions = aws.call("ec2", "describe_regions", AllRegions=False)["Regions"]
    return sorted(region["RegionName"] for region in regions)


def kill(
    aws: Aws, regions: Iterable[str], report: Report, patience: Patience
) -> tuple[Killed, ...]:
    """Nothing of the project is left in the regions, or the answer says where something is.

    No region's failure keeps another from being cleared.
    """
    doors = [aws.elsewhere(region) for region in regions]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return tuple(pool.map(lambda door: _kill_region(door, report, patience), doors))


def _kill_region(aws: Aws, report: Report, patience: Patience) -> Killed:
    machines, things, errors = 0, 0, list[str]()
    try:
        for group in BY_NAME["group"].find(aws, _ALL):
            Group().empty(aws, group)
    except CloudError as error:  # the machines are ended all the same
        errors.append(str(error))
    try:
        alive = [one["InstanceId"] for one in instances(aws, _ALL, ALIVE)]
        if alive:
            report(f"{aws.region}: ending {len(alive)} machines")
            aws.call("ec2", "terminate_instances", InstanceIds=alive)
            machines = len(alive)
        found = find_all(aws, _ALL)
        things = len(found)
        rest = [one for one in reversed(found) if one.key.kind != "instance"]
        for one in [f for f in rest if f.key.kind == "group"]:
            BY_NAME["group"].delete(aws, one)
        if found or alive:
            wait_gone(aws, _ALL, report, patience)
        for one in [f for f in rest if f.key.kind != "group"]:
            report(f"{aws.region}: delete {one.key} {one.ident}")
            kind = BY_NAME[one.key.kind]
            when_let_go(partial(kind.delete, aws, one), patience)
        prove_empty(aws, _ALL)
    except CloudError as error:
        errors.append(str(error))
    try:
        things += len(ecr.remove(aws))
    except CloudError as error:
        errors.append(str(error))
    return Killed(region=aws.region, machines=machines, things=things, error="; ".join(errors))
