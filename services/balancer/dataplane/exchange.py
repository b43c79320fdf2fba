"""One request's way: placed on a target, sent, answered, ended. It joins a client's connection to a
target's, moves the bodies between them, and decides with `retry` what a failure means.

    PLACING -> SENT -> ANSWERING -> ENDED      (PLACING again on a retry; ENDED from anywhere)
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.chunked import BadChunk, ChunkedBody
from services.balancer.dataplane.errors import BadResponse, Fault, Refusal
from services.balancer.dataplane.forward import PooledTarget, TargetConnection, dial
from services.balancer.dataplane.http1 import Fields
from services.balancer.dataplane.observe import ANSWERED, Attempt, Ended
from services.balancer.dataplane.retry import Tries
from services.balancer.dataplane.tunnel import Tunnel, switches
from services.balancer.ledger import TargetCell

if TYPE_CHECKING:
    from services.balancer.cluster import Cluster
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.plane import Plane

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"
_CLOSE_LINE: Final = b"Connection: close\r\n"
_KEEP_ALIVE_LINE: Final = b"Connection: keep-alive\r\n"
_TARGET_RETRIES: Final = int(TargetCell.RETRIES)


class Stage(enum.Enum):
    """Where an exchange is."""

    PLACING = 1  # a connection is being opened
    SENT = 2  # no final response head yet
    ANSWERING = 3  # the client has the response head
    ENDED = 4


# Looked up on the class, a member costs more than the rest of the comparison.
_PLACING: Final = Stage.PLACING
_SENT: Final = Stage.SENT
_ANSWERING: Final = Stage.ANSWERING
_ENDED: Final = Stage.ENDED


class Exchange:
    """One request and its answer. Holds a claim on a target while an attempt is open."""

    __slots__ = (
        "_attempt",
        "_client",
        "_connection",
        "_line",
        "_plane",
        "_stage",
        "_tried",
        "_tries",
        "_unsent",
        "_upload",
        "arrived",
        "cluster",
        "fields",
        "method",
        "minor",
        "request_id",
        "reusable",
        "upload_left",
    )

    def __init__(  # noqa: PLR0917 - made for every request: keywords would cost
        self,
        plane: Plane,
        client: ClientConnection,
        line: bytes,
        method: bytes,
        minor: int,
        fields: Fields,
    ) -> None:
        self._plane = plane
        self._client = client
        self.cluster: Cluster[PooledTarget]
        self._stage = _PLACING
        self._attempt: Attempt | None = None
        self._connection: TargetConnection | None = None
        self._tried: list[PooledTarget] = []
        self._tries: Tries | None = None
        self.arrived = 0.0  # when it was first to be placed
        self._unsent = b""  # of the body, read before there was a connection
        self._upload: ChunkedBody | None = None
        self.upload_left = 0
        self._line = line
        self.method = method
        self.minor = minor
        self.fields = fields
        self.request_id = next(plane.request_ids)
        self.reusable = False
        if fields.chunked:
            self._upload = ChunkedBody(fields.nominated)
            self.upload_left = 1  # until the decoder says that it is done
        elif fields.content_length:
            self.upload_left = fields.content_length

    def __repr__(self) -> str:
        target = self._attempt.target.id if self._attempt else "-"
        return f"<Exchange {self.request_id.decode()} {self._stage.name} {target}>"

    # -- placing -----------------------------------------------------------------------------------

    def place(self, *, fresh: bool = False) -> None:
        """Send the request to a target of the cluster, or answer for the lack of one."""
        plane = self._plane
        now = plane.clock()
        if self.arrived == 0.0:
            self.arrived = now
        cluster = self.cluster
        if cluster.key_from is None:
            target = cluster.pick(now, plane.rng, self._tried)
        else:
            key = self._client.key(cluster.key_from, self.fields)
            target = cluster.pick_keyed(key, now, plane.rng, self._tried)
        if target is None:
            self._refuse(Refusal.NO_TARGET, "no eligible target")
            return
        self._attempt = Attempt(target, target.counts, now)
        if self._tries is not None:
            target.counts[_TARGET_RETRIES] += 1
        connection = None if fresh else target.take()
        if connection is not None:
            self.connected(connection)
        else:
            self._stage = _PLACING
            if self.upload_left:
                self._client.pause()
            plane.spawn(dial(plane, target, self))

    def waits_for(self, target: PooledTarget) -> bool:
        """A connection to `target` is what this exchange is waiting for."""
        return (
            self._stage is _PLACING
            and self._connection is None
            and self._attempt is not None
            and self._attempt.target is target
        )

    def connected(self, connection: TargetConnection) -> None:
        """There is a connection: the head goes out, with what is there of the body."""
        self._stage = _SENT
        self._connection = connection
        plane = self._plane
        fields = self.fields
        client = self._client
        client.deadline = plane.until_response_head
        if self._tries is not None:
            client.deadline = self._in_time(client.deadline)
        lines = client.lines
        if lines is None:
            lines = client.trusted_lines(fields)
            self.request_id = plane.trusted_request_id(fields.forwarding) or self.request_id
        if fields.chunked:
            lines = _CHUNKED_LINE + lines
        if fields.host is None:
            lines = plane.host_line + lines
        # `lines` ends with the name of the request id's field.
        head = self._line + fields.onward + lines + self.request_id + b"\r\n\r\n"
        connection.send(self, head + self._unsent)
        self._unsent = b""
        if self.upload_left and not connection.blocked:
            client.resume()

    # -- the request's body ------------------------------------------------------------------------

    @property
    def uploading(self) -> bool:
        """Part of the request's body has not come yet."""
        return self.upload_left > 0

    def upload(self, data: bytes) -> bytes:
        """Bytes of the request's body; what is left over belongs to the next request.

        Raises BadChunk when the client's framing is broken; when its answer has begun, that is cut
        instead, because no error of our own can be said in the middle of it.
        """
        if self._upload is not None:
            try:
                out = self._upload.feed(data)
            except BadChunk:
                if self._stage is not _ANSWERING:
                    raise
                self.client_gone()
                self._client.abort()
                return b""
            rest = self._upload.rest
            if self._upload.done:
                self.upload_left = 0
        else:
            left = self.upload_left
            out = data[:left] if len(data) > left else data
            rest = data[left:]
            self.upload_left = left - len(out)
        if self._connection is not None:
            self._connection.write(out)
            plane = self._plane
            self._client.deadline = self._in_time(
                plane.until_body_idle if self.upload_left else plane.until_response_head
            )
        else:
            self._unsent += out
        return rest

    def upload_blocked(self) -> None:
        """The target takes no more for now."""
        if self.upload_left:
            self._client.pause()

    def upload_open(self) -> None:
        """It takes more."""
        self._client.resume()

    # -- the response ------------------------------------------------------------------------------

    def interim(self, status_line: bytes, fields: Fields) -> None:
        """A 1xx answer; HTTP/1.0 knows none (RFC 9110, 15.2)."""
        if self.minor == 1:
            self._client.write(b"%b%b\r\n" % (status_line, fields.onward))

    def switch(
        self, connection: TargetConnection, status_line: bytes, fields: Fields, data: bytes
    ) -> None:
        """101, and what follows it: HTTP ends here. Raises BadResponse when it answers no offer."""
        if fields.content_length is not None or fields.chunked or not switches(self.fields, fields):
            raise BadResponse("a switch of protocols that nobody asked for")
        plane = self._plane
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - SENT implies it
        if plane.tunnels >= plane.config.limits.tunnels:  # others were quicker
            self.client_gone()
            self._client.refuse(Refusal.NO_TUNNEL, "no room for another tunnel", self.request_id)
            return
        self._stage = _ENDED
        self._attempt = self._connection = None
        attempt.switched(plane.clock())
        head = b"%b%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n"
        tunnel = Tunnel(plane, self._client, connection, attempt)
        tunnel.begin(head % (status_line, fields.onward, self.fields.upgrade) + data)

    def respond(
        self,
        status: int,
        status_line: bytes,
        fields: Fields,
        body: bytes,
        *,
        chunked: bool,
        until_close: bool,
    ) -> None:
        """The final response head, and the first bytes of the body."""
        self._stage = _ANSWERING
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - SENT implies it
        attempt.status = status
        client = self._client
        plane = self._plane
        client.deadline = plane.until_body_idle
        old_client = self.minor == 0
        if until_close or (chunked and old_client) or plane.draining:
            client.close_after = True
        extra = _CHUNKED_LINE if chunked and not old_client else b""
        if client.close_after:
            extra += _CLOSE_LINE
        elif old_client:
            extra += _KEEP_ALIVE_LINE
        if client.blocked:  # it has not even taken the answer before this one
            self.download_blocked()
        client.write(status_line + fields.onward + extra + b"\r\n" + body)

    def download(self, data: bytes) -> None:
        """More of the response's body."""
        self._client.deadline = self._in_time(self._plane.until_body_idle)
        self._client.write(data)

    def download_blocked(self) -> None:
        """The client takes no more for now."""
        if self._connection is not None:
            self._connection.pause()

    def download_open(self) -> None:
        """It takes more."""
        if self._connection is not None:
            self._connection.resume()

    def response_end(self, connection: TargetConnection | None) -> None:
        """The response's body is complete; `connection` when it may serve another exchange."""
        self._stage = _ENDED
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - there is an answer, so there is an attempt
        self._attempt = None
        attempt.close(ANSWERED, self._plane.clock())
        if connection is not None:
            if self.upload_left:
                connection.close()  # the target would take the rest of this body for a request
            else:
                connection.rest()
        self._connection = None
        self._client.exchange_ended(complete=not self.upload_left)

    # -- failure -----------------------------------------------------------------------------------

    def failed(self, fault: Fault, detail: str = "") -> None:
        """The attempt failed by the target's fault: again elsewhere, or tell the client."""
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - only an attempt can fail
        answering = self._stage is _ANSWERING
        target = attempt.target
        self._close_attempt(fault)
        self._connection = None
        if answering:
            self._stage = _ENDED
            self._client.abort()
            return
        if self._tries is None:
            self._tries = Tries()
        bodyless = not (self.fields.chunked or self.fields.content_length)
        if self._tries.allows(fault, self.method, bodyless=bodyless):
            self._plane.counters.retry()
            if fault is not Fault.STALE and isinstance(target, PooledTarget):
                self._tried.append(target)
            self.place(fresh=fault is Fault.STALE)
            return
        reason = (
            "the target did not answer in time"
            if fault is Fault.TIMEOUT
            else (
                "no connection to the target"
                if fault is Fault.CONNECT
                else "the target's answer broke"
            )
        )
        self._refuse(fault.refusal, reason)

    def expired(self) -> None:
        """The client's deadline has passed: who kept us waiting?"""
        connection = self._connection
        if self._stage is _SENT and not self.upload_left:
            if connection is not None:
                connection.abort()
            self.failed(Fault.TIMEOUT)
        elif self._stage is _SENT and not self._client.paused:
            self.client_gone()
            self._client.refuse(Refusal.HEAD_TIMEOUT, "the body came too slowly", self.request_id)
        elif self._stage is _SENT:
            if connection is not None:
                connection.abort()
            self.failed(Fault.TIMEOUT)
        elif self._stage is _ANSWERING:
            # Who takes all the time there is with a long answer has done nothing wrong.
            now = self._plane.deadlines.now
            kept_us = not self._client.blocked and self._in_time(now) == now
            if connection is not None:
                connection.abort()
            self._stage = _ENDED
            self._close_attempt(Fault.TIMEOUT if kept_us else Ended.ABORTED)
            self._client.abort()

    def _in_time(self, deadline: float) -> float:
        """A deadline, or the end of the time that the whole request has."""
        return min(deadline, self.arrived + self._plane.config.timeouts.request_s)

    def client_gone(self) -> None:
        """The client left, or is no longer worth waiting for."""
        self._stage = _ENDED
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
        self._stage = _ENDED
        self._client.refuse(refusal, detail, self.request_id, head_only=self.method == b"HEAD")
