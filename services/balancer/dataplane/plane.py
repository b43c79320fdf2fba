"""What the connections of one data-plane process share: configuration, clusters, counters, clock.

It is made once by the process and handed to every connection; there is no global state. The fleet's
picture is applied here, slice by slice, as it arrives.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, Final

from services.balancer import pick
from services.balancer.cluster import Cluster
from services.balancer.columns import assign
from services.balancer.config import Config, Respond
from services.balancer.dataplane.access_log import AccessLog, follow
from services.balancer.dataplane.cut import cut
from services.balancer.dataplane.deadlines import PERIOD_S, Deadlines
from services.balancer.dataplane.forwarding import Forwarding
from services.balancer.dataplane.heads import Heads, RequestHead, ResponseHead
from services.balancer.dataplane.http1 import (
    FieldCache,
    parse_request_fields,
    parse_response_fields,
    request_lines,
    response_lines,
)
from services.balancer.dataplane.key import KeyOf, reader
from services.balancer.dataplane.observe import Counters
from services.balancer.dataplane.origins import Origins
from services.balancer.dataplane.pool import PooledTarget
from services.balancer.dataplane.probes import Probe, probers
from services.balancer.dataplane.request_ids import RequestIds
from services.balancer.dataplane.route import Router
from services.balancer.dataplane.rules import put_in_force
from services.balancer.ledger import ClusterCell, Ledger, ProcessCell
from services.balancer.messages import SLICE, Membership, Probes, TargetPicture
from services.balancer.room import Room

if TYPE_CHECKING:
    from services.balancer.dataplane.accept import ClientConnection

_REQUESTS: Final = int(ProcessCell.REQUESTS)
_OPEN: Final = int(ProcessCell.CONNECTIONS_OPEN)
_ACCEPTED: Final = int(ProcessCell.CONNECTIONS)
_REFUSED: Final = int(ProcessCell.CONNECTIONS_REFUSED)
_TUNNELS: Final = int(ProcessCell.TUNNELS)
_TUNNELS_OPEN: Final = int(ProcessCell.TUNNELS_OPEN)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a route leads: to a cluster, or to an answer of the balancer's own."""

    cluster: Cluster[PooledTarget] | None = None
    respond: Respond | None = None


class Plane:
    """One data-plane process's state.

    `clock` gives seconds of a monotonic clock; `rng` is the only source of chance.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        ledger: Ledger,
        row: int,
        config: Config,
        rng: Random,
        columns: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.loop = loop
        self.ledger = ledger
        self.row = row
        self.rng = rng
        self.clock = clock
        self.own_pending = ledger.pending(row)
        others = [i for i in range(ledger.rows) if i != row]
        self.siblings = tuple(map(ledger.pending, others))
        self.seen = tuple(map(ledger.seen, (row, *others))) if others else ()
        self.counters = Counters(ledger.process(row))
        self.clients: set[ClientConnection] = set()
        self.origins = Origins()
        self.access: AccessLog | None = None
        self.target_connections = 0  # open now, busy or idle
        self.dialing = 0  # being opened
        self.tunnels = 0  # open now
        self.probing: set[Probe] = set()  # under way
        self.draining = False
        self.clusters: dict[str, Cluster[PooledTarget]] = {}
        self.request_ids = RequestIds(rng.getrandbits(64))
        self.requests = int(ledger.process(row)[_REQUESTS])  # request heads read whole
        self._tasks: set[asyncio.Task[None]] = set()
        self._idle: asyncio.Future[None] | None = None  # done when the last client has left
        self._columns: Mapping[str, int] = {}  # of the clusters' counts, by name
        self._keys: dict[str, KeyOf] = {}
        self._waking: set[Room] = set()  # rooms where somebody will be served in a moment
        self.config = config
        self.deadlines = Deadlines(loop, clock, self._on_sweep, _period_s(config))
        self.configure(config, columns)

    # -- configuration and membership --------------------------------------------------------------

    def configure(self, config: Config, columns: Mapping[str, int] | None = None) -> None:
        """Put a configuration in force. Clusters that stay keep their targets and what is known.

        `columns` of the clusters are the supervisor's to give, who sees all processes.
        """
        self.config = config
        self.elsewhere = self.ledger.elsewhere() if config.balancers.listen else None
        self._columns = columns or assign(self._columns, (c.name for c in config.clusters))
        self.request_fields = FieldCache(
            parse_request_fields, request_lines(), config.limits.header_count
        )
        self.response_fields = FieldCache(
            parse_response_fields, response_lines(), config.limits.header_count
        )
        self.request_heads: Heads[RequestHead] = Heads()
        self.response_heads: Heads[ResponseHead] = Heads()
        self.host_line = b"Host: " + config.listen.encode() + b"\r\n"
        self.upgrades = frozenset(name.lower().encode() for name in config.upgrades)
        self.forwarding = Forwarding(config.trusted_proxies)
        self._limits = {c.name: c.max_pending for c in config.clusters}
        clusters: dict[str, Cluster[PooledTarget]] = {}
        first = not self.clusters  # this process counts on from where a dead one's row ends
        for named in config.clusters:
            column = self._columns[named.name]
            cluster = self.clusters.get(named.name)
            if cluster is None:
                policy = pick.build(named.policy)
                counts = self.ledger.cluster(self.row, column).tolist() if first else None
                cluster = Cluster(
                    named.name, policy, self._make_target, named.policy, counts=counts
                )
            elif cluster.spec != named.policy:
                cluster.follow(pick.build(named.policy), named.policy)
            put_in_force(self, cluster, column, named)
            for target in cluster.targets.values():
                target.hear(self.elsewhere)
            clusters[named.name] = cluster
        for name, cluster in self.clusters.items():
            if name not in clusters:
                self._let_go(cluster, list(cluster.targets))
        self.clusters = clusters
        self._probers = probers(self, config)
        self.router = Router(
            (
                route,
                Destination(
                    cluster=clusters[route.cluster] if route.cluster is not None else None,
                    respond=route.respond,
                ),
            )
            for route in config.routes
        )
        limits = config.limits  # read for every request: kept within one step's reach
        self.head_bytes = limits.head_bytes
        self.target_bytes = limits.target_bytes
        self.idle_per_target = limits.idle_per_target
        self.access = follow(
            self.access,
            config.access_log,
            loop=self.loop,
            clock=self.clock,
            cells=self.counters.cells,
        )
        self.deadlines.every(_period_s(config))
        self._on_sweep(self.deadlines.now)

    def wake(self, room: Room) -> None:
        """A place is free, once what freed it has gone its way."""
        if room not in self._waking:
            self._waking.add(room)
            self.loop.call_soon(self._serve, room)

    def _serve(self, room: Room) -> None:
        self._waking.discard(room)
        room.serve()

    def key_of(self, key_from: str) -> KeyOf:
        """How a request's key is read; made once for each place where one may stand."""
        read = self._keys.get(key_from)
        if read is None:
            read = self._keys[key_from] = reader(key_from)
        return read

    def limit_of(self, cluster: str) -> int:
        """The most pending requests that one target of the cluster may have."""
        return self._limits[cluster]

    def member(self, message: Membership) -> None:
        """Apply one slice of the fleet's picture."""
        for picture in message.upserts:
            cluster = self.clusters.get(picture.cluster)
            if cluster is not None:  # else: of a configuration that is not in force here
                cluster.upsert(picture, message.version)
                if picture.cut:
                    cut(self, cluster.targets[picture.id])
        for target_id in message.removes:
            cluster = self.clusters.get(target_id.partition("/")[0])
            if cluster is not None:
                self._let_go(cluster, [target_id])
        if message.full and message.last:
            for cluster in self.clusters.values():
                self._sweep(cluster, cluster.stale(message.version), message.version)

    def _sweep(self, cluster: Cluster[PooledTarget], target_ids: list[str], version: int) -> None:
        """Let go of targets that a full picture did not name, a few in each turn of the loop."""
        some, rest = target_ids[:SLICE], target_ids[SLICE:]
        known = cluster.targets  # a later picture may have brought some of them back
        self._let_go(cluster, [i for i in some if i in known and known[i].version < version])
        if rest:
            self.loop.call_soon(self._sweep, cluster, rest, version)

    def probed(self, message: Probes) -> None:
        """Take over probe results."""
        now = self.clock()
        for result in message.results:
            cluster = self.clusters.get(result.id.partition("/")[0])
            target = cluster.targets.get(result.id) if cluster is not None else None
            if target is not None:
                target.load.probed(
                    result.latency_s, result.pending, result.cpu, now, result.cloudwatch_cpu
                )

    def _make_target(self, picture: TargetPicture) -> PooledTarget:
        return PooledTarget(picture, self)

    def _let_go(self, cluster: Cluster[PooledTarget], target_ids: list[str]) -> None:
        for target_id in target_ids:
            target = cluster.remove(target_id)
            if target is not None:
                target.publish()
                target.close_idle()

    def _on_sweep(self, now: float) -> None:
        """Once a sweep: what a deadline set from now on will be, so that setting one is a copy."""
        timeouts = self.config.timeouts
        self.until_response_head = now + min(timeouts.response_head_s, timeouts.request_s)
        self.until_body_idle = now + min(timeouts.body_idle_s, timeouts.request_s)
        self.until_keep_alive = now + timeouts.keep_alive_s
        self.until_target_idle = now + timeouts.target_keep_alive_s
        for cluster in self.clusters.values():
            cluster.tick(now)
            cluster.until_try = min(now + cluster.budget.rules.try_s, self.until_response_head)
        for prober in self._probers:
            prober.tick(now)
        self.until_tunnel_idle = now + timeouts.tunnel_idle_s

    def publish(self) -> None:
        """Write all counts where the control plane reads them."""
        for _ in self.publishing():
            pass

    def publishing(self) -> Iterator[None]:
        """As `publish`, in steps of at most SLICE targets."""
        self.counters.cells[_REQUESTS] = self.requests
        if self.access is not None:
            self.access.publish()
        for name, cluster in list(self.clusters.items()):
            cells = self.ledger.cluster(self.row, self._columns[name])
            cluster.counts[ClusterCell.PENDING] = cluster.room.own
            cluster.counts[ClusterCell.QUEUED] = len(cluster.room.waiting)
            for cell, value in enumerate(cluster.counts):
                cells[cell] = value
        for cluster in list(self.clusters.values()):
            targets = list(cluster.targets.values())
            for start in range(0, len(targets), SLICE):
                for target in targets[start : start + SLICE]:
                    if cluster.targets.get(target.id) is target:  # else another may have its slot
                        target.publish()
                yield

    # -- clients -----------------------------------------------------------------------------------

    def admit(self, client: ClientConnection, peer: str) -> bool:
        """Count a client in, unless there are too many, or too many from its address."""
        cells = self.counters.cells
        limits = self.config.limits
        origin = self.origins.admit(peer, limits.connections_per_address)
        if origin is None or len(self.clients) >= limits.connections:
            self.origins.dismiss(origin)
            cells[_REFUSED] += 1
            return False
        client.origin = origin
        self.clients.add(client)
        cells[_ACCEPTED] += 1
        cells[_OPEN] = len(self.clients)
        return True

    def dismiss(self, client: ClientConnection) -> None:
        """Count it out."""
        self.clients.discard(client)
        self.origins.dismiss(client.origin)
        self.counters.cells[_OPEN] = len(self.clients)
        if self._idle is not None and not self.clients and not self._idle.done():
            self._idle.set_result(None)

    def make_room(self) -> None:
        """Before one more connection to a target: never more of them than clients may be.

        Each client has one target at a time, so what is beyond that rests in a pool.
        """
        if self.target_connections + self.dialing >= self.config.limits.connections:
            for cluster in self.clusters.values():
                for target in cluster.targets.values():
                    target.close_idle()

    def count_tunnel(self, change: int) -> None:
        """One more (1), or one less (-1)."""
        cells = self.counters.cells
        self.tunnels += change
        cells[_TUNNELS_OPEN] = self.tunnels
        if change > 0:
            cells[_TUNNELS] += 1

    # -- tasks and the end -------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine; `close` cancels what is left, and a failure of it is reported."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def drain(self) -> None:
        """No keep-alive from here on: idle clients go, busy ones after their answer."""
        self.draining = True
        for client in list(self.clients):
            client.drain()
        for cluster in self.clusters.values():
            for target in cluster.targets.values():
                target.close_idle()

    async def wait_idle(self, timeout_s: float) -> bool:
        """Wait until no client is left; False when the time was up first."""
        if self.clients:
            self._idle = self.loop.create_future()
            await asyncio.wait([self._idle], timeout=timeout_s)
        return not self.clients

    def close(self) -> None:
        """Cut what is left."""
        self.deadlines.close()
        for task in list(self._tasks):
            task.cancel()
        for client in list(self.clients):
            client.abort()
        for probe in list(self.probing):
            probe.end()
        for cluster in self.clusters.values():
            for target in cluster.targets.values():
                target.close_idle()
        if self.access is not None:
            self.access.close()


def _period_s(config: Config) -> float:
    """How often every connection is looked in on: often enough for the shortest time-out."""
    t = config.timeouts
    shortest = min(
        *(t.head_s, t.body_idle_s, t.response_head_s, t.request_s),
        *(c.retry.try_s for c in config.clusters),
        *(t.keep_alive_s, t.target_keep_alive_s, t.linger_s, t.tunnel_idle_s, t.tunnel_total_s),
    )
    return min(PERIOD_S, max(shortest / 4, 0.02))
