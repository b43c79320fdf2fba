"""The fleet as the control plane runs it: watches sources, attends members, tells the publisher.

Every member has a line, a loop of checks and a loop of probes from the moment it joins until it
leaves. A new configuration replaces only the loops whose settings changed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Any, Final, Protocol

from services.balancer.config import Balancers, ClusterConfig, Config
from services.balancer.fleet.discover import Found, Regions, Source, Watch, build_all
from services.balancer.fleet.health import run_checks
from services.balancer.fleet.line import Line
from services.balancer.fleet.probe import Reading, run_probes
from services.balancer.fleet.registry import Member, Registry, member_id
from services.balancer.fleet.slots import Slots
from services.balancer.fleet.snapshot import Channel, Publisher
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, ProbeResult, TargetPicture
from services.balancer.subset import subset

AT_ONCE: Final = 64  # checks and probes that are out at the same time, over all targets
FIRST_PICTURE_S: Final = 2.0  # how long the first picture waits for a slow source or check

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Follower(Protocol):
    """Who wants to know which targets have which slots; may be told the same twice."""

    def joined(self, target_id: str, slot: int) -> None:
        """It has that slot from now on."""
        ...

    def left(self, target_id: str, slot: int) -> None:
        """It has none any more."""
        ...


@dataclass(slots=True)
class _Care:
    """What runs for one member."""

    line: Line
    checks: asyncio.Task[None]
    probes: asyncio.Task[None]


class Fleet:
    """All clusters' targets, from discovery to the picture that is told.

    Resource handling: runs its loops in `group`, whose end ends them; `close` closes connections.
    Error handling: what sources and targets do wrong is kept to be shown; a bug in a loop ends the
    group, and the supervisor starts a new control plane.
    """

    def __init__(
        self,
        ledger: Ledger,
        channel: Channel,
        group: asyncio.TaskGroup,
        rng: Random,
        *,
        followers: Sequence[Follower] = (),
    ) -> None:
        self.registry = Registry(
            Slots(ledger), joined=self._joined, changed=self._changed, left=self._left
        )
        self.clusters: dict[str, ClusterConfig] = {}
        self._balancers = Balancers()
        self.watches: dict[tuple[str, str], Watch] = {}
        self.publisher = Publisher(channel, lambda: self.registry.members)
        self._group = group
        self._rng = rng
        self.regions = Regions(rng)
        self._followers = followers
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._care: dict[str, _Care] = {}
        self._watching: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._first_round_done = False

    # -- from outside ----------------------------------------------------------------------------

    def start(self, config: Config, pictures: list[TargetPicture]) -> None:
        """Begin with what was known before a restart; the first full picture follows."""
        self.clusters = {cluster.name: cluster for cluster in config.clusters}
        known = [picture for picture in pictures if picture.cluster in self.clusters]
        self.registry.restore(known, time.time())
        self.configure(config, tell=False)
        for member in self.registry.members.values():
            if member.draining and not member.cut:
                self._cut_later(member, self.clusters[member.cluster].drain_s)
        self._group.create_task(self._first_picture(), name="first picture")

    def drain(self, target_id: str, draining: bool, deadline_s: float | None = None) -> bool:
        """Set or clear the drain flag; False: no such id.

        What is pending after `deadline_s` (default: the cluster's `drain_s`) is ended.
        """
        if not self.registry.drain(target_id, draining):
            return False
        member = self.registry.members[target_id]
        if draining:
            default_s = self.clusters[member.cluster].drain_s
            self._cut_later(member, default_s if deadline_s is None else deadline_s)
        return True

    def _cut_later(self, member: Member, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(deadline_s, self.registry.cut, member.id, member.drains)

    def configure(self, config: Config, *, tell: bool = True) -> None:
        """Follow a configuration: unchanged sources, loops and members go on as they are."""
        old, cut = self.clusters, self._balancers
        self._balancers = balancers = config.balancers
        self.clusters = {cluster.name: cluster for cluster in config.clusters}
        every = [*(entry for c in config.clusters for entry in c.targets), *balancers.peers]
        self.regions.want(every)
        sources = {
            name: build_all(cluster.targets, self.regions)
            for name, cluster in self.clusters.items()
        }
        same = {
            (name, source)
            for name, found in sources.items()
            for source in found
            if (name, source) in self.watches and self._unchanged(old, name, source, cut)
        }
        for key in [key for key in self.watches if key not in same]:
            self._watching.pop(key).cancel()
            del self.watches[key]
        self.registry.configure(sources, time.monotonic())
        for member in self.registry.members.values():
            before, now = old.get(member.cluster), self.clusters[member.cluster]
            if before is None or (before.health, before.probe) != (now.health, now.probe):
                self._stop_care(member.id)
            if member.id not in self._care:
                self._joined(member)
        for name, found in sources.items():
            for source_name, source in found.items():
                if (name, source_name) not in same:
                    self._watch(name, source_name, source)
        if tell:
            self.publisher.full()

    def _unchanged(
        self, old: Mapping[str, ClusterConfig], cluster: str, source: str, cut: Balancers
    ) -> bool:
        """Whether a source of that name is configured, and its answer cut, as it was."""
        new, cuts = self.clusters, self._balancers
        if cluster in old and (old[cluster].subset, cut.count, cut.index) != (
            new[cluster].subset,
            cuts.count,
            cuts.index,
        ):
            return False
        if cluster not in old or old[cluster].targets == new[cluster].targets:
            return cluster in old
        before, now = (
            [entry for entry in config.targets if source in build_all([entry], self.regions)]
            for config in (old[cluster], new[cluster])
        )
        return before == now

    @property
    def first_round_done(self) -> bool:
        """Every source was asked and every member checked, at least once; stays true."""
        if not self._first_round_done:
            self._first_round_done = all(watch.asked for watch in self.watches.values()) and all(
                member.checked for member in self.registry.members.values()
            )
        return self._first_round_done

    async def close(self) -> None:
        """Stop every loop and close every connection."""
        self.publisher.close()
        for key in list(self._watching):
            self._watching.pop(key).cancel()
        for target_id in list(self._care):
            self._stop_care(target_id)
        await asyncio.gather(*self._closing)

    # -- sources ---------------------------------------------------------------------------------

    def _watch(self, cluster: str, name: str, source: Source) -> None:
        watch = Watch(cluster, source, partial(self._found, cluster, name))
        self.watches[cluster, name] = watch
        self._watching[cluster, name] = self._group.create_task(watch.run(), name=f"watch {name}")

    def _found(self, cluster: str, name: str, found: Found) -> None:
        self.registry.see(
            cluster,
            name,
            subset(found.addresses, self.clusters[cluster].subset, self._balancers),
            trusted=found.trusted,
            now=time.monotonic(),
            wall=time.time(),
            weights=found.weights,
        )
        for address, instance in found.instances.items():
            member = self.registry.members.get(member_id(cluster, address))
            if member is not None:
                member.instance = instance

    async def _first_picture(self) -> None:
        """Wait for sources and checks, so that a picture is not full of holes.

        Data planes take clients once they have it: before any target is known to be healthy, all
        that they could answer is 503.
        """
        deadline = time.monotonic() + FIRST_PICTURE_S
        while time.monotonic() < deadline:
            if self.first_round_done:
                break
            await asyncio.sleep(0.01)
        self.publisher.full()

    # -- members ---------------------------------------------------------------------------------

    def _joined(self, member: Member) -> None:
        for follower in self._followers:
            follower.joined(member.id, member.slot)
        cluster = self.clusters[member.cluster]
        line = Line(member.address)
        checks = run_checks(
            line,
            cluster.health,
            state=member.state,
            report=partial(self._checked, member),
            gate=self._gate,
            rng=self._rng,
        )
        probes = run_probes(
            line,
            cluster.probe,
            report=partial(self._probed, member),
            gate=self._gate,
            rng=self._rng,
            targets=lambda: len(self.registry.members),
        )
        self._care[member.id] = _Care(
            line,
            self._group.create_task(checks, name=f"check {member.id}"),
            self._group.create_task(probes, name=f"probe {member.id}"),
        )

    def _changed(self, member: Member) -> None:
        self.publisher.changed(member.id)

    def _left(self, member: Member) -> None:
        for follower in self._followers:
            follower.left(member.id, member.slot)
        self._stop_care(member.id)
        self.publisher.changed(member.id)

    def _stop_care(self, target_id: str) -> None:
        care = self._care.pop(target_id)
        care.checks.cancel()
        care.probes.cancel()
        task = asyncio.create_task(self._close_line(care), name=f"close {target_id}")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @staticmethod
    async def _close_line(care: _Care) -> None:
        await asyncio.wait({care.checks, care.probes})
        await care.line.close()

    def _checked(self, member: Member, before: Health, failure: str | None) -> None:
        self.registry.checked(member, before, failure, now=time.monotonic(), wall=time.time())

    def _probed(self, member: Member, reading: Reading) -> None:
        member.probe = reading
        member.probed_at = time.time()
        member.instance = reading.instance or member.instance
        self.publisher.probed(
            ProbeResult(
                id=member.id,
                latency_s=reading.latency_s,
                pending=reading.pending,
                cpu=reading.cpu,
                cloudwatch_cpu=member.cloudwatch_cpu,
            )
        )
