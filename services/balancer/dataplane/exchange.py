"""One request's way: placed on a target, sent, answered, ended. It joins a client's connection to a
target's and moves the bodies between them. What may go wrong on the way is in `failure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.chunked import BadChunk, ChunkedBody
from services.balancer.dataplane.dial import dial
from services.balancer.dataplane.errors import BadResponse, Refusal
from services.balancer.dataplane.failure import ANSWERING, ENDED, PLACING, SENT, Fallible
from services.balancer.dataplane.forward import TargetConnection
from services.balancer.dataplane.heads import RequestHead, ResponseHead
from services.balancer.dataplane.http1 import Fields
from services.balancer.dataplane.observe import ANSWERED, Attempt
from services.balancer.dataplane.pool import PooledTarget
from services.balancer.dataplane.tunnel import Tunnel, switches
from services.balancer.ledger import TargetCell

if TYPE_CHECKING:
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.plane import Plane

_CHUNKED_LINE: Final = b"Transfer-Encoding: chunked\r\n"
_CLOSE_LINE: Final = b"Connection: close\r\n"
_KEEP_ALIVE_LINE: Final = b"Connection: keep-alive\r\n"
_TARGET_RETRIES: Final = int(TargetCell.RETRIES)


class Exchange(Fallible):
    """One request and its answer. Holds a claim on a target while an attempt is open."""

    __slots__ = (
        "_head",
        "_unsent",
        "_upload",
        "head_only",
        "minor",
        "reusable",
    )

    def __init__(self, plane: Plane, client: ClientConnection, head: RequestHead) -> None:
        self._plane = plane
        self._client = client
        self._stage = PLACING
        self._attempt = None
        self._connection = None
        self._tried = ()
        self._tries = None
        self.arrived = 0.0
        self._unsent = b""  # of the body, read before there was a connection
        self._upload: ChunkedBody | None = None
        self.upload_left = 0
        self._head = head
        self.head_only = head.head_only
        self.method = head.method
        self.minor = head.minor
        self.fields = fields = head.fields
        self.request_id = plane.request_ids.take()
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
        cluster = self.cluster
        if self.arrived == 0.0:
            self.arrived = now
            cluster.requests += 1
        if cluster.key_from is None:
            target = cluster.pick(now, plane.rng, self._tried)
        else:
            key = self._client.key(cluster.key_from, self.fields)
            target = cluster.pick_keyed(key, now, plane.rng, self._tried)
        if target is None:
            self._wait(now)
            return
        self._attempt = Attempt(target, target.counts, now)
        if self._tries is not None:
            target.counts[_TARGET_RETRIES] += 1
        connection = None if fresh else target.take()
        if connection is not None:
            self.connected(connection)
        else:
            self._stage = PLACING
            if self.upload_left:
                self._client.pause()
            plane.spawn(dial(plane, target, self))

    def waits_for(self, target: PooledTarget) -> bool:
        """A connection to `target` is what this exchange is waiting for."""
        return (
            self._stage is PLACING
            and self._connection is None
            and self._attempt is not None
            and self._attempt.target is target
        )

    def connected(self, connection: TargetConnection) -> None:
        """There is a connection: the head goes out, with what is there of the body."""
        self._stage = SENT
        self._connection = connection
        plane = self._plane
        fields = self.fields
        client = self._client
        if self._tries is not None:
            client.deadline = self._until_head()
        else:
            client.deadline = (
                plane.until_response_head if self.upload_left else self.cluster.until_try
            )
        lines = client.lines
        if lines is None:
            lines = client.trusted_lines(fields)
            given = fields.forwarding
            self.request_id = plane.forwarding.request_id(given) or self.request_id
        if fields.chunked:
            lines = _CHUNKED_LINE + lines
        if fields.host is None:
            lines = plane.host_line + lines
        # `lines` ends with the name of the request id's field.
        data = self._head.ahead_of(lines) + self.request_id + b"\r\n\r\n"
        if self._unsent:
            data += self._unsent
            self._unsent = b""
        connection.send(self, data)
        if self.upload_left:
            client.deadline = self._in_time(plane.until_body_idle)
            if not connection.blocked:
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
                if self._stage is not ANSWERING:
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
        self._stage = ENDED
        self._attempt = self._connection = None
        attempt.switched(plane.clock())
        head = b"%b%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n"
        tunnel = Tunnel(plane, self._client, connection, attempt)
        tunnel.begin(head % (status_line, fields.onward, self.fields.upgrade) + data)

    def respond(self, head: ResponseHead, body: bytes, *, chunked: bool, until_close: bool) -> None:
        """The final response head, and the first bytes of the body."""
        self._stage = ANSWERING
        attempt = self._attempt
        assert attempt is not None  # noqa: S101 - SENT implies it
        attempt.status = head.status
        client = self._client
        plane = self._plane
        client.deadline = plane.until_body_idle
        old_client = self.minor == 0
        if until_close or (chunked and old_client) or plane.draining:
            client.close_after = True
        if client.blocked:  # it has not even taken the answer before this one
            self.download_blocked()
        if not (chunked or old_client or client.close_after):
            client.write(head.whole + body)
            return
        extra = _CHUNKED_LINE if chunked and not old_client else b""
        if client.close_after:
            extra += _CLOSE_LINE
        elif old_client:
            extra += _KEEP_ALIVE_LINE
        client.write(head.line + head.fields.onward + extra + b"\r\n" + body)

    def download(self, data: bytes) -> None:
        """More of the response's body."""
        self._client.deadline = self._in_time(self._plane.until_body_idle)
        self._client.write(data)

    def overdue(self) -> None:
        """The target's connection has a deadline of its own for nothing but a probe."""

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
        self._stage = ENDED
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
