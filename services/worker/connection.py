"""The HTTP/1.1 connection: uvicorn's, with a bound on the size and the time of a request head.

llhttp by itself collects a head of any size, and uvicorn waits for its end for ever.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LARGE: Final = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: application/json\r\ncontent-length: 36\r\nconnection: close\r\n\r\n"
    b'{"detail": "request head too large"}'
)


class BoundedConnection(HttpToolsProtocol):
    """One client connection. A head counts as unfinished from its first byte, or from accept."""

    max_head_bytes: ClassVar[int]
    head_timeout_s: ClassVar[float]

    _in_head = True
    _head_bytes = 0
    _head_since_s = 0.0

    def connection_made(  # type: ignore[override] # as uvicorn's: TCP only
        self, transport: asyncio.Transport
    ) -> None:
        """Start the clock of the first head."""
        self._head_since_s = self.loop.time()
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """A head begins."""
        self._in_head = True
        self._head_since_s = self.loop.time()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Parse `data`; a head over the limit and still unfinished gets 431.

        One read (256 KiB at most) may go past the limit.
        """
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def close_if_stalled(self) -> None:
        """Close when the head has been unfinished for too long (slowloris, silent clients)."""
        if self._in_head and self.loop.time() - self._head_since_s > self.head_timeout_s:
            self.transport.close()


def bounded_connection(max_head_bytes: int, head_timeout_s: float) -> type[BoundedConnection]:
    """Return the connection class with these bounds; uvicorn makes the instances."""
    bounds = {"max_head_bytes": max_head_bytes, "head_timeout_s": head_timeout_s}
    return type("WorkerConnection", (BoundedConnection,), bounds)
