"""Probes of the data plane's own: for a policy that asks whose load it would like to hear of.

Responses carry load reports, so a target with traffic needs no probe; one that traffic passes by
is asked. No request triggers one or waits for one: what is sent is decided ten times a second, out
of an allowance of a small part of the requests (Prequal sends up to three a request instead, and
so costs what it measures).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from services.balancer.dataplane.dial import dial
from services.balancer.dataplane.errors import BadResponse, Fault
from services.balancer.dataplane.exchange import Exchange
from services.balancer.dataplane.http1 import Fields

if TYPE_CHECKING:
    from services.balancer.cluster import Cluster
    from services.balancer.config import Config
    from services.balancer.config import Probe as Settings
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.heads import ResponseHead
    from services.balancer.dataplane.plane import Plane
    from services.balancer.dataplane.pool import PooledTarget
    from services.balancer.pick.policy import Curious

SHARE: Final = 1 / 400  # of the requests; a probe on a new connection costs as much CPU as four
FEW_PER_S: Final = 1.0  # besides, by all processes together: what requests cost is little then
MOST: Final = 8  # at a time
HEARD_S: Final = 0.5  # a report that is younger is not topped up
SILENT_S: Final = 60.0  # who answers without a report is not asked for so long
_BODY_BYTES: Final = 65_536  # of an answer that nobody reads


class Allowance:
    """How many probes may be sent. `requests` is a count that only grows."""

    __slots__ = ("_at", "_few_per_s", "_left", "_seen")

    def __init__(self, now: float, requests: int, few_per_s: float) -> None:
        self._at = now
        self._seen = requests
        self._few_per_s = few_per_s
        self._left = 1.0

    def earn(self, now: float, requests: int) -> int:
        """What may be sent now; no more than MOST are ever saved up."""
        self._left += (requests - self._seen) * SHARE + (now - self._at) * self._few_per_s
        self._left = min(self._left, float(MOST))
        self._at, self._seen = now, requests
        return int(self._left)

    def spend(self) -> None:
        """One of them is sent."""
        self._left -= 1.0


class Prober:
    """One cluster's, in one process."""

    def __init__(
        self, plane: Plane, cluster: Cluster[PooledTarget], policy: Curious, rules: Settings
    ) -> None:
        self._plane = plane
        self._cluster = cluster
        self._policy = policy
        self._rules = rules
        few_per_s = FEW_PER_S / plane.config.processes
        self._allowance = Allowance(plane.clock(), cluster.requests, few_per_s)

    def tick(self, now: float) -> None:
        """Send what is wanted, allowed and of use; to be called all the time."""
        plane, candidates = self._plane, self._cluster.candidates
        allowed = self._allowance.earn(now, self._cluster.requests)
        if plane.draining or not candidates or not allowed:
            return
        for target in self._policy.wants_probes(candidates, now, plane.rng)[:allowed]:
            quiet = now >= max(target.probe_after, target.heard_at + HEARD_S)
            if quiet and plane.target_connections + plane.dialing < plane.config.limits.connections:
                self._allowance.spend()
                target.probe_after = now + self._rules.timeout_s
                Probe(plane, target, self._rules, now).begin()


class Probe(Exchange):
    """A question of our own on a connection to a target; it holds no claim and counts nowhere.

    The report is heard by the connection, as that of any response. What else comes is dropped.
    """

    __slots__ = ("_begun", "_left", "_path", "_target", "_timeout_s")

    def __init__(self, plane: Plane, target: PooledTarget, rules: Settings, now: float) -> None:
        # None of what an exchange between a client and a target is made of.
        self._plane = plane
        self._target = target
        self._path = rules.path
        self._timeout_s = rules.timeout_s
        self._begun = now
        self._connection = None
        self._left = _BODY_BYTES
        self.method = b"GET"
        self.head_only = False
        self.minor = 1
        self.reusable = False

    def __repr__(self) -> str:
        return f"<Probe {self._target.id}>"

    def begin(self) -> None:
        """On a pooled connection when that leaves another for a request, else on a new one."""
        self._plane.probing.add(self)
        idle = self._target.idle
        if len(idle) > 1 and not idle[0].lost:
            self.connected(idle.pop(0))
        else:
            self._plane.spawn(dial(self._plane, self._target, self))

    def waits_for(self, target: PooledTarget) -> bool:
        """It has no connection yet."""
        return self._connection is None and self in self._plane.probing

    def connected(self, connection: TargetConnection) -> None:
        """Ask."""
        self._connection = connection
        connection.deadline = self._plane.clock() + self._timeout_s
        host, port = self._target.host, self._target.port
        host = f"[{host}]" if ":" in host else host
        ask = f"GET {self._path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: */*\r\n\r\n"
        connection.send(self, ask.encode())

    def overdue(self) -> None:
        """The time is up."""
        self.end()

    def end(self) -> None:
        """Whatever has become of it."""
        self._plane.probing.discard(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()

    # -- what a connection tells an exchange -------------------------------------------------------

    def failed(self, fault: Fault, detail: str = "", *, words: str = "") -> None:
        """Nobody is told: health checks and requests judge a target."""
        self._connection = None
        self.end()

    def interim(self, status_line: bytes, fields: Fields) -> None:
        """Not the answer."""

    def switch(
        self, connection: TargetConnection, status_line: bytes, fields: Fields, data: bytes
    ) -> None:
        """Raises BadResponse: nothing was offered."""
        raise BadResponse("a switch of protocols that nobody asked for")

    def respond(self, head: ResponseHead, body: bytes, *, chunked: bool, until_close: bool) -> None:
        """The head is here, and with it the report."""
        self._left -= len(body)

    def download(self, data: bytes) -> None:
        """Of a body that does not end, the connection is ended."""
        self._left -= len(data)
        if self._left < 0:
            self.end()

    def response_end(self, connection: TargetConnection | None) -> None:
        """Answered; the connection goes to the pool."""
        self._connection = None
        self.end()
        if self._target.heard_at < self._begun:
            self._target.probe_after = self._plane.clock() + SILENT_S
        if connection is not None:
            connection.rest()

    def upload_blocked(self) -> None:
        """A question has no body."""

    def upload_open(self) -> None:
        """As above."""


def probers(plane: Plane, config: Config) -> list[Prober]:
    """One for each cluster whose policy asks for probes."""
    found = []
    for named in config.clusters:
        cluster = plane.clusters[named.name]
        if hasattr(cluster.policy, "wants_probes"):
            found.append(Prober(plane, cluster, cast("Curious", cluster.policy), named.probe))
    return found
