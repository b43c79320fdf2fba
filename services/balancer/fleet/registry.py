"""The members of every cluster: what the sources found, joined, each with its slot and state.

Pure but for the ledger: no I/O, time is an argument. A target that several sources name is one
member. Members of a source that left the configuration, and those from before a restart of the
control plane, stay until every present source of their cluster has answered once: a reload or a
crash makes nobody new. The last healthy members of a cluster stay until one of those that take
their place is healthy, or all of them have been checked: make before break.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.balancer.address import Address
from services.balancer.fleet.health import HealthState
from services.balancer.fleet.probe import Reading
from services.balancer.fleet.slots import Slots
from services.balancer.messages import Health, TargetPicture

BEFORE: Final = "(before)"  # the source of members that wait for the present sources' word
LEAVING: Final = "(leaving)"  # the source of members that wait for one to take their place

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Member:
    """One target of one cluster. Times are wall clock, seconds."""

    id: str
    cluster: str
    address: Address
    slot: int
    since: float
    state: HealthState = field(default_factory=HealthState)
    health_since: float = 0.0
    draining: bool = False
    drains: int = 0  # told so far; a deadline is of one of them
    cut: bool = False  # the deadline of the drain has passed
    weight: int = 1
    weighed: bool = False  # by hand, which holds against any source
    given: dict[str, int] = field(default_factory=dict)  # weights, by source
    sources: set[str] = field(default_factory=set)
    checked: bool = False  # since it joined, or since this process began
    check_error: str | None = None  # of the last check
    probe: Reading | None = None
    probed_at: float | None = None
    instance: str | None = None
    cloudwatch_cpu: float | None = None  # 0..1

    @property
    def picture(self) -> TargetPicture:
        """The member as the data plane is told."""
        return TargetPicture(
            id=self.id,
            cluster=self.cluster,
            host=self.address.host,
            port=self.address.port,
            slot=self.slot,
            weight=self.weight,
            weighed=self.weighed,
            health=self.state.health,
            draining=self.draining,
            cut=self.cut,
        )


def member_id(cluster: str, address: Address) -> str:
    """`<cluster>/<host>:<port>`."""
    return f"{cluster}/{address}"


class Registry:
    """All members by id. `joined`, `changed`, `left` are called as it happens."""

    def __init__(
        self,
        slots: Slots,
        *,
        joined: Callable[[Member], None],
        changed: Callable[[Member], None],
        left: Callable[[Member], None],
    ) -> None:
        self.members: dict[str, Member] = {}
        self.homeless = 0  # addresses left out because every slot is taken
        self._slots = slots
        self._joined = joined
        self._changed = changed
        self._left = left
        self._sources: dict[str, set[str]] = {}
        self._silent: dict[str, set[str]] = {}  # cluster -> its sources that have not answered yet

    def restore(self, pictures: Iterable[TargetPicture], wall: float) -> None:
        """Take over members from before; they are told to nobody, everyone knows them."""
        for picture in pictures:
            if picture.id in self.members or not self._slots.hold(picture.slot):
                continue
            self.members[picture.id] = member = Member(
                picture.id,
                picture.cluster,
                Address(picture.host, picture.port),
                picture.slot,
                wall,
                state=HealthState(picture.health),
                health_since=wall,
                draining=picture.draining,
                cut=picture.cut,
                weight=picture.weight,
                weighed=picture.weighed,
                sources={BEFORE},
            )
            self._joined(member)

    def configure(self, clusters: Mapping[str, Iterable[str]], now: float) -> None:
        """The clusters there are, each with the names of its sources."""
        sources = {cluster: set(names) for cluster, names in clusters.items()}
        known = {cluster: self._known_sources(cluster) for cluster in sources}
        for member in list(self.members.values()):
            if member.cluster not in sources:
                self._remove(member, now)
            elif not member.sources <= sources[member.cluster] | {BEFORE, LEAVING}:
                member.sources = (member.sources & sources[member.cluster]) | {BEFORE}
        self._silent = {
            cluster: {name for name in names if name not in known[cluster]}
            for cluster, names in sources.items()
        }
        self._sources = sources
        for cluster in sources:
            self._settle(cluster, now)

    def see(
        self,
        cluster: str,
        source: str,
        addresses: Iterable[Address],
        *,
        trusted: bool,
        now: float,
        wall: float,
        weights: Mapping[Address, int] = MappingProxyType({}),
    ) -> None:
        """A source's whole answer. What an untrusted answer lacks leaves only if unhealthy.

        A target that several sources name has the highest of its `weights`; one without has 1.
        """
        if source not in self._sources.get(cluster, ()):
            return  # an answer that a reload has overtaken
        found = {member_id(cluster, address): address for address in sorted(addresses)}
        self.homeless = 0
        for target_id, address in found.items():
            member = self.members.get(target_id) or self._add(
                target_id, cluster, address, now, wall
            )
            if member is not None:
                member.sources.add(source)
                member.sources.discard(LEAVING)
                member.given[source] = weights.get(address, 1)
        for member in self._of(cluster):
            if member.id in found:
                continue
            if trusted:
                member.sources.discard(source)
            elif member.state.health is Health.UNHEALTHY:
                member.sources -= {source, BEFORE}
        for member in self._of(cluster):
            given = [weight for name, weight in member.given.items() if name in member.sources]
            if given and not member.weighed:
                self._weigh(member, max(given))
        self._let_go(cluster, now)
        if trusted:
            self._silent.get(cluster, set()).discard(source)
            self._settle(cluster, now)

    def drain(self, target_id: str, draining: bool) -> bool:
        """Set or clear the drain flag, which holds until the target leaves; False: no such id."""
        member = self.members.get(target_id)
        if member is None:
            return False
        member.drains += 1
        if member.draining is not draining:
            member.draining = draining
            member.cut = False
            _log.info("drain" if draining else "undrain", extra={"target": target_id})
            self._changed(member)
        return True

    def cut(self, target_id: str, drains: int) -> None:
        """The deadline of a drain is here; void when the target was told anything since."""
        member = self.members.get(target_id)
        if member is not None and member.draining and member.drains == drains and not member.cut:
            member.cut = True
            _log.warning("drain cut", extra={"target": target_id})
            self._changed(member)

    def weigh(self, target_id: str, weight: int) -> bool:
        """Set a weight by hand, which holds until the target leaves; False: no such id."""
        member = self.members.get(target_id)
        if member is None:
            return False
        member.weighed = True
        if not self._weigh(member, weight):
            self._changed(member)
        return True

    def checked(
        self, member: Member, before: Health, failure: str | None, *, now: float, wall: float
    ) -> None:
        """A health check of `member` ended; its state has taken the result in already."""
        member.checked = True
        member.check_error = failure
        if member.state.health is not before:
            self._turned(member, failure, wall)
        self._let_go(member.cluster, now)

    # -- inside ----------------------------------------------------------------------------------

    def _weigh(self, member: Member, weight: int) -> bool:
        """Whether that is new."""
        if member.weight == weight:
            return False
        member.weight = weight
        _log.info("weight", extra={"target": member.id, "weight": weight})
        self._changed(member)
        return True

    def _turned(self, member: Member, failure: str | None, wall: float) -> None:
        member.health_since = wall
        _log.log(
            logging.INFO if member.state.health is Health.HEALTHY else logging.WARNING,
            f"target {member.state.health.value}",
            extra={"target": member.id, "reason": failure or "passed"},
        )
        self._changed(member)

    def _known_sources(self, cluster: str) -> set[str]:
        """Sources of a cluster that have answered before."""
        return set(self._sources.get(cluster, ())) - self._silent.get(cluster, set())

    def _of(self, cluster: str) -> list[Member]:
        return [member for member in self.members.values() if member.cluster == cluster]

    def _settle(self, cluster: str, now: float) -> None:
        """Every source has answered: who is left from before has no source and goes."""
        if self._silent.get(cluster):
            return
        for member in self._of(cluster):
            member.sources.discard(BEFORE)
        self._let_go(cluster, now)

    def _let_go(self, cluster: str, now: float) -> None:
        """Remove who has no source; the healthy among them only when they are not needed."""
        members = self._of(cluster)
        leavers = [member for member in members if member.sources <= {LEAVING}]
        if not leavers:
            return
        stayers = [member for member in members if not member.sources <= {LEAVING}]
        wait = any(not member.checked for member in stayers) and not any(
            member.state.health is Health.HEALTHY and not member.draining for member in stayers
        )
        for member in leavers:
            if wait and member.state.health is Health.HEALTHY:
                member.sources = {LEAVING}
            else:
                self._remove(member, now)

    def _add(
        self, target_id: str, cluster: str, address: Address, now: float, wall: float
    ) -> Member | None:
        slot = self._slots.take(now)
        if slot is None:
            self.homeless += 1
            _log.error("no slot left for a target", extra={"target": target_id})
            return None
        member = Member(target_id, cluster, address, slot, wall, health_since=wall)
        self.members[target_id] = member
        _log.info("target joined", extra={"target": target_id})
        self._joined(member)
        self._changed(member)
        return member

    def _remove(self, member: Member, now: float) -> None:
        del self.members[member.id]
        self._slots.give_back(member.slot, now)
        _log.info("target left", extra={"target": member.id})
        self._left(member)
