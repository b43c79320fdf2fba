"""An exchange that keeps what its line of the access log says. Made only while the log is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.access_log import AccessLog, Line, micro, path_of
from services.balancer.dataplane.exchange import Exchange
from services.balancer.dataplane.heads import RequestHead, ResponseHead
from services.balancer.dataplane.http1 import Fields

if TYPE_CHECKING:
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.plane import Plane
    from services.balancer.target import Target

# How a request ended.
ANSWERED: Final = "answered"  # by a target, whole
OWN: Final = "own"  # by the balancer itself
CUT: Final = "cut"  # the answer had begun and could not be completed
LEFT: Final = "left"  # the client went first
TUNNEL: Final = "tunnel"  # switched protocols; the time is the tunnel's

_SWITCHED: Final = 101


class LoggedExchange(Exchange):
    """Times are seconds of the plane's clock."""

    __slots__ = (
        "_answer_at",
        "_attempts",
        "_began",
        "_connect_s",
        "_log",
        "_pending",
        "_status",
        "_target",
    )

    def __init__(
        self, plane: Plane, client: ClientConnection, head: RequestHead, log: AccessLog
    ) -> None:
        super().__init__(plane, client, head)
        self._log: AccessLog | None = log  # None once the line is written
        self._target: Target | None = None  # of the last attempt
        self._attempts = 0
        self._pending = 0
        self._connect_s = 0.0
        self._answer_at: float | None = None
        self._status = 0
        self._began = plane.clock()  # `arrived` is set when it is placed, and may never be

    # The base's methods are called by name: super() would cost twice as much each time.

    def place(self, *, fresh: bool = False) -> None:
        """One more attempt: its target, and what that had pending before this request came."""
        self._connect_s = 0.0
        Exchange.place(self, fresh=fresh)
        attempt = self._attempt
        if attempt is not None:
            self._attempts += 1
            self._target = attempt.target
            self._pending = attempt.target.held - 1

    def connected(self, connection: TargetConnection) -> None:
        """A connection that was made for this request took its time; a pooled one took none."""
        attempt = self._attempt
        if attempt is not None and not connection.reused:
            self._connect_s = self._plane.clock() - attempt.started
        Exchange.connected(self, connection)

    def switch(
        self, connection: TargetConnection, status_line: bytes, fields: Fields, data: bytes
    ) -> None:
        """The answer was 101; the line is written when the tunnel ends."""
        Exchange.switch(self, connection, status_line, fields, data)
        self._answer_at = self._plane.clock()
        self._status = _SWITCHED

    def respond(self, head: ResponseHead, body: bytes, *, chunked: bool, until_close: bool) -> None:
        """The first byte of the answer."""
        self._answer_at = self._plane.clock()
        self._status = head.status
        Exchange.respond(self, head, body, chunked=chunked, until_close=until_close)

    def response_end(self, connection: TargetConnection | None) -> None:
        """The last."""
        self.tell(ANSWERED)
        Exchange.response_end(self, connection)

    def tell(self, ended: str, status: int = 0) -> None:
        """Write the line, once. `status` is that of an answer of the balancer's own."""
        log = self._log
        if log is None:
            return
        self._log = None
        target, method = self._target, self.method
        arrived, answered = self._began, self._answer_at
        log.add(
            Line(
                micro(log.unix_s(arrived)),
                self.request_id.decode(),
                method.decode(),
                path_of(self._head.line, method),
                None if target is None else self.cluster.name,
                None if target is None else target.id.partition("/")[2],
                self._attempts,
                None if target is None else self._pending,
                None if target is None else micro(self._connect_s),
                None if answered is None else micro(answered - arrived),
                micro(self._plane.clock() - arrived),
                status or self._status or None,
                TUNNEL if self._status == _SWITCHED else ended,
            )
        )


def tell(exchange: Exchange, ended: str, status: int = 0) -> None:
    """A line for an exchange that began while the log was on."""
    if isinstance(exchange, LoggedExchange):
        exchange.tell(ended, status)


def tell_unread(plane: Plane, request_id: bytes, status: int) -> None:
    """A line for what could not be read as a request."""
    log = plane.access
    if log is not None:
        log.add(
            Line(
                arrival=micro(log.unix_s(plane.clock())),
                request_id=request_id.decode(),
                method=None,
                path=None,
                cluster=None,
                target=None,
                attempts=0,
                pending=None,
                connect_s=None,
                first_byte_s=None,
                total_s=0.0,
                status=status,
                ended=OWN,
            )
        )
