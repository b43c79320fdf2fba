"""An exchange that keeps what its line of the access log says. Made only while the log is on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.balancer.dataplane.access_log import AccessLog, path_of, quoted
from services.balancer.dataplane.exchange import Exchange
from services.balancer.dataplane.http1 import Fields

if TYPE_CHECKING:
    from services.balancer.dataplane.accept import ClientConnection
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.plane import Plane

# How a request ended.
ANSWERED: Final = b"answered"  # by a target, whole
OWN: Final = b"own"  # by the balancer itself
CUT: Final = b"cut"  # the answer had begun and could not be completed
LEFT: Final = b"left"  # the client went first
TUNNEL: Final = b"tunnel"  # switched protocols; the time is the tunnel's

_LINE: Final = (
    b'{"arrival":%.6f,"request_id":"%b","method":"%b","path":"%b","cluster":%b,"target":%b,'
    b'"attempts":%d,"pending":%b,"connect_s":%b,"first_byte_s":%b,"total_s":%.6f,"status":%b,'
    b'"ended":"%b"}\n'
)
_UNREAD: Final = (
    b'{"arrival":%.6f,"request_id":"%b","method":null,"path":null,"cluster":null,"target":null,'
    b'"attempts":0,"pending":null,"connect_s":null,"first_byte_s":null,"total_s":0.0,"status":%d,'
    b'"ended":"own"}\n'
)
_NULL: Final = b"null"
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
        "_placed_at",
        "_status",
        "_target",
    )

    def __init__(  # noqa: PLR0917 - as its base
        self,
        plane: Plane,
        client: ClientConnection,
        line: bytes,
        method: bytes,
        minor: int,
        fields: Fields,
        log: AccessLog,
    ) -> None:
        super().__init__(plane, client, line, method, minor, fields)
        self._log: AccessLog | None = log  # None once the line is written
        self._target: str | None = None  # of the last attempt
        self._attempts = 0
        self._pending = 0
        self._placed_at = 0.0
        self._connect_s = 0.0
        self._answer_at: float | None = None
        self._status = 0
        self._began = plane.clock()  # `arrived` is set when it is placed, and may never be

    def place(self, *, fresh: bool = False) -> None:
        """One more attempt: its target, and what that had pending before this request came."""
        self._connect_s = 0.0
        self._placed_at = self._plane.clock()
        super().place(fresh=fresh)
        attempt = self._attempt
        if attempt is not None:
            self._attempts += 1
            self._target = attempt.target.id
            self._pending = attempt.target.pending - 1

    def connected(self, connection: TargetConnection) -> None:
        """A connection that was made for this request took its time; a pooled one took none."""
        if not connection.reused:
            self._connect_s = self._plane.clock() - self._placed_at
        super().connected(connection)

    def switch(
        self, connection: TargetConnection, status_line: bytes, fields: Fields, data: bytes
    ) -> None:
        """The answer was 101; the line is written when the tunnel ends."""
        super().switch(connection, status_line, fields, data)
        self._answer_at = self._plane.clock()
        self._status = _SWITCHED

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
        """The first byte of the answer."""
        self._answer_at = self._plane.clock()
        self._status = status
        super().respond(status, status_line, fields, body, chunked=chunked, until_close=until_close)

    def response_end(self, connection: TargetConnection | None) -> None:
        """The last."""
        self.tell(ANSWERED)
        super().response_end(connection)

    def tell(self, ended: bytes, status: int = 0) -> None:
        """Write the line, once. `status` is that of an answer of the balancer's own."""
        log = self._log
        if log is None:
            return
        self._log = None
        status = status or self._status
        cluster = target = pending = connect_s = _NULL
        if self._target is not None:
            names = self._target.partition("/")
            cluster, target = b'"%b"' % names[0].encode(), b'"%b"' % names[2].encode()
            pending, connect_s = b"%d" % self._pending, b"%.6f" % self._connect_s
        arrived, answered = self._began, self._answer_at
        log.add(
            _LINE
            % (
                log.unix_s(arrived),
                quoted(self.request_id),
                self.method,
                path_of(self._line, self.method),
                cluster,
                target,
                self._attempts,
                pending,
                connect_s,
                _NULL if answered is None else b"%.6f" % (answered - arrived),
                self._plane.clock() - arrived,
                b"%d" % status if status else _NULL,
                TUNNEL if self._status == _SWITCHED else ended,
            )
        )


def tell(exchange: Exchange, ended: bytes, status: int = 0) -> None:
    """A line for an exchange that began while the log was on."""
    if isinstance(exchange, LoggedExchange):
        exchange.tell(ended, status)


def tell_unread(plane: Plane, request_id: bytes, status: int) -> None:
    """A line for what could not be read as a request."""
    if plane.access is not None:
        plane.access.add(_UNREAD % (plane.access.unix_s(plane.clock()), request_id, status))
