"""One end of the channel between the supervisor and a child: messages over a Unix stream socket.

Both ends are the same class and run on any asyncio loop (uvloop too), by plain callbacks. What is
written but not yet taken by the peer is bounded: `send` refuses a message beyond the bound, and
`on_writable` says when there is room again, so a stuck peer costs its neighbour no memory.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final, cast

from services.balancer.messages import FrameReader, Message, encode

BACKLOG_BYTES: Final = 1024 * 1024  # written and not taken; a slice of 16 targets is about 2 kB

_log = logging.getLogger(__name__)


class Hub(asyncio.Protocol):
    """A connected end.

    `on_message(message)` is called for each message in order, `on_close()` once when the peer is
    gone (or broke the framing) or after `close()`; a child whose supervisor is gone drains and
    exits. `on_writable()` is called when a refused or slow channel has room again.

    Resource handling: owns the socket from `open` on; `close` sends what is buffered, then closes.
    Error handling: an exception in `on_message` is a bug of the owner and goes to the loop's
    exception handler; it does not end the channel.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        on_writable: Callable[[], None] = lambda: None,
        *,
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> None:
        self._on_message = on_message
        self._on_close = on_close
        self._on_writable = on_writable
        self._backlog_bytes = backlog_bytes
        self._transport: asyncio.WriteTransport | None = None
        self._reader = FrameReader()
        self._hearing = False  # more than one message has come: the rest waits for its turn
        self._closed = False
        self.slow = False  # the peer does not keep up: better to send nothing now

    @classmethod
    async def open(
        cls,
        sock: socket.socket | int,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        on_writable: Callable[[], None] = lambda: None,
        *,
        backlog_bytes: int = BACKLOG_BYTES,
    ) -> Hub:
        """Take over a connected Unix stream socket, or the inherited descriptor of one."""
        if isinstance(sock, int):
            sock = socket.socket(fileno=sock)
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, hub = await loop.create_unix_connection(
            lambda: cls(on_message, on_close, on_writable, backlog_bytes=backlog_bytes), sock=sock
        )
        return hub

    def __repr__(self) -> str:
        state = "closed" if self.closed else "slow" if self.slow else "open"
        return f"<Hub {state}, backlog {self.backlog} bytes>"

    @property
    def closed(self) -> bool:
        """Nothing can be sent any more."""
        return self._closed or self._transport is None or self._transport.is_closing()

    @property
    def backlog(self) -> int:
        """Bytes sent that the peer has not taken."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, message: Message) -> bool:
        """Queue one message; False when it was refused (closed, or the backlog is full).

        The bound may be passed by one message, so that a large one gets through too.
        """
        transport = self._transport
        if transport is None or self.closed:
            return False
        if transport.get_write_buffer_size() >= self._backlog_bytes:
            return False  # above the high-water mark, so `on_writable` will come
        transport.write(encode(message))
        return True

    def close(self) -> None:
        """Send what is buffered, then close; `on_close` follows."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now and forget what is buffered; `on_close` follows."""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.set_write_buffer_limits(
            high=self._backlog_bytes // 2, low=self._backlog_bytes // 8
        )

    def data_received(self, data: bytes) -> None:
        self._reader.add(data)
        if not self._hearing:
            self._hear()

    def _hear(self) -> None:
        """One message, then everyone else's turn: a picture of 10,000 targets holds nobody up.

        Nothing more is read meanwhile, so what waits here is bounded, and an end comes last.
        """
        self._hearing = False
        if self.closed:
            return
        try:
            message = self._reader.next()
        except ValueError as error:  # also msgspec.ValidationError
            _log.error("hub: the peer sent what is no message, closing: %s", error)
            self.abort()
            return
        try:
            if message is not None:
                self._on_message(message)
        finally:
            self._go_on()

    def _go_on(self) -> None:
        transport = self._transport
        if transport is None or self.closed:
            return
        reading = cast("asyncio.ReadTransport", transport)
        if self._reader.ready:
            self._hearing = True
            reading.pause_reading()
            asyncio.get_running_loop().call_soon(self._hear)
        else:
            reading.resume_reading()

    def pause_writing(self) -> None:
        self.slow = True

    def resume_writing(self) -> None:
        self.slow = False
        self._on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._on_close()
