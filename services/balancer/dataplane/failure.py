"""What goes wrong with an exchange, and what follows: again on another target, or tell the client.
`retry` says whether the request may be repeated, the cluster's budget whether it can afford it.

    PLACING -> SENT -> ANSWERING -> ENDED      (PLACING again on a retry; ENDED from anywhere)
       |  ^
     QUEUED                                    (every target is full)
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.errors import Fault, Refusal
from services.balancer.dataplane.http1 import Fields
from services.balancer.dataplane.observe import Attempt, Ended
from services.balancer.dataplane.retry import IDEMPOTENT, Tries
from services.balancer.ledger import ClusterCell
from services.balancer.target import Target

if TYPE_CHECKING:
    from services.balancer.cluster import Cluster
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.plane import Plane
    from services.balancer.dataplane.pool import PooledTarget

_QUEUE_FULL: Final = int(ClusterCell.QUEUE_FULL)
_RETRIES_REFUSED: Final = int(ClusterCell.RETRIES_REFUSED)


class Stage(enum.Enum):
    """Where an exchange is."""

    PLACING = 1  # a connection is being opened
    SENT = 2  # no final response head yet
    ANSWERING = 3  # the client has the response head
    ENDED = 4
    QUEUED = 5  # for a place on a target


# Looked up on the class, a member costs more than the rest of the comparison.
PLACING: Final = Stage.PLACING
SENT: Final = Stage.SENT
ANSWERING: Final = Stage.ANSWERING
ENDED: Final = Stage.ENDED
QUEUED: Final = Stage.QUEUED


class Fallible:
    """The part of an exchange that knows how to fail. Attributes are set by `Exchange`."""

    __slots__ = (
        "_attempt",
        "_client",
        "_connection",
        "_plane",
        "_stage",
        "_tried",
        "_tries",
        "arrived",
        "cluster",
        "fields",
        "method",
        "request_id",
        "upload_left",
    )

    _attempt: Attempt | None
    _client: ClientConnection
    _connection: TargetConnection | None
    _plane: Plane
    _stage: Stage
    _tried: tuple[Target, ...]  # and failed
    _tries: Tries | None
    arrived: float  # when it was first to be placed; 0: not yet
    cluster: Cluster[PooledTarget]
    fields: Fields
    method: bytes
    request_id: bytes
    upload_left: int

    def place(self, *, fresh: bool = False) -> None:
        """Send the request to a target; `fresh`: on a new connection."""
        raise NotImplementedError

    def _wait(self, now: float) -> None:
        """No target takes it now: wait for a place where there are any targets, or refuse."""
        cluster = self.cluster
        if not cluster.candidates:
            self._refuse(Refusal.NO_TARGET, "no eligible target")
        elif cluster.room.join(self, now):
            self._stage = QUEUED
            if self.upload_left:
                self._client.pause()
        else:
            cluster.counts[_QUEUE_FULL] += 1
            self._refuse(Refusal.FULL, "every target is full, and so is the queue")

    def waited_too_long(self) -> None:
        """No place has become free in time."""
        self._refuse(Refusal.QUEUE_TIMEOUT, "no target had room in time")

    def failed(self, fault: Fault, detail: str = "", *, words: str = "") -> None:
        """The attempt failed by the target's fault: again elsewhere, or tell the client.

        `words` are for the client, in place of the fault's own.
        """
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - only an attempt can fail
        answering = self._stage is ANSWERING
        target = attempt.target
        self._close_attempt(fault)
        self._connection = None
        if answering:
            self._stage = ENDED
            self._client.abort()
            return
        if self._tries is None:
            self._tries = Tries()
        plane, cluster = self._plane, self.cluster
        now = plane.clock()
        again = self._tries.allows(
            fault, self.method, bodyless=self._bodyless, time_left=now < self._until_head()
        )
        if not again:
            self._refuse(fault.refusal, words or fault.words)
        elif fault is Fault.STALE:  # no error, so nothing that the budget counts
            plane.counters.retry()
            self.place(fresh=True)
        elif cluster.budget.spend(now, cluster.requests):
            plane.counters.retry()
            self._tried = (*self._tried, target)
            self.place()
        else:
            cluster.counts[_RETRIES_REFUSED] += 1
            self._refuse(Refusal.RETRY_BUDGET, f"{fault.words}, and the retry budget is spent")

    def cut(self, target: Target) -> None:
        """The drain of a target has lasted too long: is it the one that has this request?"""
        if self._attempt is None or self._attempt.target is not target:
            return
        connection = self._connection
        if connection is not None:
            connection.abort()
        fault = Fault.CONNECT if connection is None else Fault.BROKEN
        self.failed(fault, words="the target was drained, and the time for that is over")

    def expired(self) -> None:
        """The client's deadline has passed: who kept us waiting?"""
        connection = self._connection
        if self._stage is SENT and not self.upload_left:
            until, deadlines = self._until_head(), self._plane.deadlines
            early = deadlines.now + deadlines.interval_s < until  # a try's time is up, not all time
            if early and not self._elsewhere():
                self._client.deadline = until
                return
            if connection is not None:
                connection.abort()
            self.failed(Fault.TIMEOUT)
        elif self._stage is SENT and not self._client.paused:
            self.client_gone()
            self._client.refuse(Refusal.HEAD_TIMEOUT, "the body came too slowly", self.request_id)
        elif self._stage is SENT:
            if connection is not None:
                connection.abort()
            self.failed(Fault.TIMEOUT)
        elif self._stage is ANSWERING:
            # Who takes all the time there is with a long answer has done nothing wrong.
            now = self._plane.deadlines.now
            kept_us = not self._client.blocked and self._in_time(now) == now
            if connection is not None:
                connection.abort()
            self._stage = ENDED
            self._close_attempt(Fault.TIMEOUT if kept_us else Ended.ABORTED)
            self._client.abort()

    @property
    def _bodyless(self) -> bool:
        return not (self.fields.chunked or self.fields.content_length)

    def _until_head(self) -> float:
        """When its response head must be here at the latest, whichever try it is."""
        return self._in_time(self.arrived + self._plane.config.timeouts.response_head_s)

    def _elsewhere(self) -> bool:
        """A target keeps us waiting: another may be asked instead."""
        attempt, cluster = self._attempt, self.cluster
        return (
            attempt is not None
            and self._bodyless
            and self.method in IDEMPOTENT
            and (self._tries is None or self._tries.another)
            and cluster.another_than([*self._tried, attempt.target])
            and cluster.budget.left(self._plane.deadlines.now, cluster.requests)
        )

    def _in_time(self, deadline: float) -> float:
        """A deadline, or the end of the time that the whole request has."""
        return min(deadline, self.arrived + self._plane.config.timeouts.request_s)

    def client_gone(self) -> None:
        """The client left, or is no longer worth waiting for."""
        if self._stage is QUEUED:
            self.cluster.room.leave(self)
        self._stage = ENDED
        if self._connection is not None:
            self._connection.abort()
            self._connection = None
        self._close_attempt(Ended.ABORTED)

    def _close_attempt(self, how: Ended | Fault) -> None:
        attempt = self._attempt
        if attempt is not None:
            self._attempt = None
            attempt.close(how, self._plane.clock())

    def _refuse(self, refusal: Refusal, detail: str) -> None:
        self._stage = ENDED
        self._client.refuse(refusal, detail, self.request_id, head_only=self.method == b"HEAD")
