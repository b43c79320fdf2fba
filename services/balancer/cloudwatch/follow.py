"""Runs publisher and reader as the configuration says, and ends them in time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from services.balancer.cloudwatch.api import Api
from services.balancer.cloudwatch.call import in_thread
from services.balancer.cloudwatch.data import Datum
from services.balancer.cloudwatch.outbox import Minute, Share
from services.balancer.cloudwatch.publish import Publisher
from services.balancer.cloudwatch.read import CpuReader
from services.balancer.cloudwatch.tally import SAMPLE_S, Tally, gauges
from services.balancer.config import CloudWatch, Config
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import Ledger

FLUSH_S: Final = 1.5  # for the last minute at the end; the supervisor waits 4 s for this process
READS_FOR: Final = "lowest_cpu"


class Door(Protocol):
    """What is needed of the API; blocking."""

    def put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        """One call."""
        ...

    def cpu(self, instances: Sequence[str], now: datetime) -> Mapping[str, float]:
        """Newest CPU by instance, 0 to 1."""
        ...


class Following:
    """What runs for the present configuration; nothing while it has no `cloudwatch:`.

    Resource handling: runs its loops in `group`. A call that hangs holds one thread, which nobody
    waits for at the end.
    """

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        group: asyncio.TaskGroup,
        rng: Random,
        *,
        door: Callable[[str], Door] = Api,
    ) -> None:
        self._fleet = fleet
        self._ledger = ledger
        self._group = group
        self._rng = rng
        self._door = door
        self._config: CloudWatch | None = None
        self._publisher: Publisher | None = None
        self._tally = Tally(ledger)
        self._reads: set[str] = set()
        self._publishing: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._rounds: set[asyncio.Task[None]] = set()

    def configure(self, config: Config) -> None:
        """Follow a configuration. What waits to be published under the old one is sent yet."""
        wanted = config.cloudwatch
        reads = {c.name for c in config.clusters if c.policy.name == READS_FOR}
        if wanted is None:
            reads = set()
        if wanted != self._config or reads != self._reads:
            self._stop_reading()
            if wanted is not None and reads:
                self._reading = self._group.create_task(
                    self._read(wanted, reads), name="read from CloudWatch"
                )
        if wanted != self._config:
            before = self._stop_publishing()
            if before is not None:
                self._spawn(before.flush())
            if wanted is not None:
                self._start_publishing(wanted)
        self._config, self._reads = wanted, reads

    async def close(self, deadline_s: float = FLUSH_S) -> None:
        """Publish the last of it, within the time given."""
        self._stop_reading()
        publisher = self._stop_publishing()
        if publisher is not None:
            await publisher.close(self._cut(), deadline_s)
        for task in self._rounds:
            task.cancel()

    def _start_publishing(self, config: CloudWatch) -> None:
        self._publisher = Publisher(
            partial(_put, self._door(config.region), config.namespace),
            deployment=config.deployment,
            interval_s=config.interval_s,
            rng=self._rng,
            clock=time.monotonic,
        )
        self._publishing = self._group.create_task(
            self._publish(config.interval_s, self._publisher), name="publish to CloudWatch"
        )

    def _stop_publishing(self) -> Publisher | None:
        if self._publishing is not None:
            self._publishing.cancel()
        publisher, self._publisher, self._publishing = self._publisher, None, None
        return publisher

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        for member in self._fleet.registry.members.values():
            member.cloudwatch_cpu = None

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._group.create_task(work)
        self._rounds.add(task)
        task.add_done_callback(self._rounds.discard)

    async def _publish(self, interval_s: float, publisher: Publisher) -> None:
        """A minute is cut at the same second of each, away from the full one by chance: balancers
        do not come all at once, and none falls out of its minute by being a little late."""
        phase_s = interval_s * self._rng.uniform(0.2, 0.8)
        wait_s = (phase_s - time.time()) % interval_s
        cut_at = time.monotonic() + wait_s
        while True:
            self._tally.sample(self._fleet.registry.members.values())
            now = time.monotonic()
            if now >= cut_at:
                cut_at += interval_s * ((now - cut_at) // interval_s + 1)
                self._spawn(publisher.round(self._cut()))
            await asyncio.sleep(max(0.0, min(SAMPLE_S, cut_at - time.monotonic())))

    def _cut(self) -> Minute:
        members = self._fleet.registry.members
        self._tally.sample(members.values())
        clusters, whole = self._tally.take(self._fleet.clusters)
        minute = Minute(time.time(), {None: Share(whole)})
        for name, counts in clusters.items():
            # Before everybody was asked once, none is healthy: an alarm would believe it.
            known = self._fleet.first_round_done
            now = gauges(members, self._ledger, name) if known else (None, None)
            minute.shares[name] = Share(counts, *now)
        return minute

    async def _read(self, config: CloudWatch, clusters: set[str]) -> None:
        reader = CpuReader(
            partial(_cpu, self._door(config.region)),
            interval_s=config.interval_s,
            rng=self._rng,
            clock=time.monotonic,
        )
        members = self._fleet.registry.members
        while True:
            await reader.round(m for m in members.values() if m.cluster in clusters)
            await asyncio.sleep(config.interval_s)


async def _put(door: Door, namespace: str, data: list[Datum]) -> None:
    await in_thread(partial(door.put, namespace, data), "put to CloudWatch")


async def _cpu(door: Door, instances: Sequence[str]) -> Mapping[str, float]:
    now = datetime.now(UTC)
    return await in_thread(partial(door.cpu, instances, now), "get from CloudWatch")
