"""Bodies over the limit get 413, announced or not, and are never collected.

An announced length over the limit is refused before the routes see the request; a chunked body is
counted as it arrives. Closing at once would reset the connection under a client that still sends,
and lose the answer, so the rest is read and thrown away, within bounds (RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio
from typing import Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_BYTES: Final = 8 << 20
LINGER_S: Final = 2.0

_CLOSE: Final = {"connection": "close"}


class BodyLimit:
    """The ASGI layer that counts request bodies."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request whose body can't be over the limit, or answer 413."""
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                # Without either of these there is no body (RFC 9112, section 6.3).
                if name in (b"content-length", b"transfer-encoding"):
                    # The parser has let only digits pass.
                    announced = int(value) if name == b"content-length" else 0
                    body = _Body(self._max_bytes, receive, send)
                    if announced > self._max_bytes:
                        await body.refuse()
                    else:
                        await self._app(scope, body.receive, body.send)
                    return
        await self._app(scope, receive, send)


class _Body:
    """One request body, counted."""

    __slots__ = ("_max_bytes", "_receive", "_seen_bytes", "_send", "_too_large")

    def __init__(self, max_bytes: int, receive: Receive, send: Send) -> None:
        self._max_bytes = max_bytes
        self._receive = receive
        self._send = send
        self._seen_bytes = 0
        self._too_large = False

    async def receive(self) -> Message:
        """Return the next piece. Raises HTTPException 413 once the limit is passed."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._seen_bytes += len(message.get("body", b""))
            if self._seen_bytes > self._max_bytes:
                self._too_large = True
                raise HTTPException(413, self._reason(), _CLOSE)
        return message

    async def send(self, message: Message) -> None:
        if (
            self._too_large
            and message["type"] == "http.response.body"
            and not message.get("more_body", False)
        ):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body"}
        await self._send(message)

    async def refuse(self) -> None:
        """Answer 413 without having read anything."""
        self._too_large = True
        body = b'{"detail": "%s"}' % self._reason().encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        await self._send({"type": "http.response.start", "status": 413, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})

    def _reason(self) -> str:
        return f"request body over {self._max_bytes} bytes"

    async def _linger(self) -> None:
        thrown_bytes = 0
        try:
            async with asyncio.timeout(LINGER_S):
                while thrown_bytes <= LINGER_BYTES:
                    message = await self._receive()
                    if message["type"] != "http.request" or not message.get("more_body", False):
                        return
                    thrown_bytes += len(message.get("body", b""))
        except TimeoutError:
            return
