"""What CloudWatch knows of the CPU of targets' machines: asked once an interval, for all together.

A value that gets no successor is forgotten after STALE_S; the policy then goes by what the target
says itself, as it does for a target whose machine is not known.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Final

from services.balancer.cloudwatch.api import CloudWatchError, NoCredentials
from services.balancer.cloudwatch.publish import Pace
from services.balancer.fleet.registry import Member

STALE_S: Final = 600.0
_INSTANCE: Final = re.compile(r"i-[0-9a-f]{8,17}")  # a worker elsewhere calls itself otherwise

Get = Callable[[Sequence[str]], Awaitable[Mapping[str, float]]]

_log = logging.getLogger(__name__)


class CpuReader:
    """Writes `cloudwatch_cpu` of members; probes carry it to the data planes."""

    def __init__(
        self, get: Get, *, interval_s: float, rng: Random, clock: Callable[[], float]
    ) -> None:
        self._get = get
        self._clock = clock
        self._pace = Pace(interval_s, rng)
        self._known: dict[str, tuple[float, float]] = {}  # instance -> CPU, when it was read
        self._said = ""

    async def round(self, members: Iterable[Member]) -> None:
        """Ask, if there is anybody to ask for, and tell the members."""
        members = list(members)
        named = {member.instance or "" for member in members}
        instances = sorted(name for name in named if _INSTANCE.fullmatch(name))
        if instances and self._pace.due(self._clock()):
            await self._read(instances)
        now = self._clock()
        self._known = {
            instance: (cpu, at)
            for instance, (cpu, at) in self._known.items()
            if instance in instances and now - at < STALE_S
        }
        for member in members:
            known = self._known.get(member.instance or "")
            member.cloudwatch_cpu = None if known is None else known[0]

    async def _read(self, instances: list[str]) -> None:
        try:
            found = await self._get(instances)
        except CloudWatchError as error:
            now = self._clock()
            if isinstance(error, NoCredentials):
                self._pace.rest(now)
            else:
                self._pace.failed(now)
            if str(error) != self._said:
                self._said = str(error)
                _log.warning("CPU is not known from CloudWatch", extra={"reason": self._said})
            return
        if self._pace.worked():
            self._said = ""
        now = self._clock()
        self._known.update({instance: (cpu, now) for instance, cpu in found.items()})
