"""One small HTTP request to a target at a time, on a connection that is kept.

Each target has a transport of its own: httpx's pool looks at all of its connections for every
request, which a thousand targets in one pool would make slow. The transport is used without a
client on top: redirects, cookies and environment proxies have no place in a health check.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from typing import Any, Final, NamedTuple

import httpx

from services.balancer.address import Address

MAX_BODY_BYTES: Final = 64 * 1024
KEEP_ALIVE_S: Final = 4.0  # below uvicorn's 5 s, so that the target does not close first
_CONNECTIONS: Final = 2  # a check and a probe may be out together

_SENT: Final = "http11.send_request_headers.started"
_ANSWERED: Final = "http11.receive_response_headers.complete"


class LineError(Exception):
    """The target gave no usable answer; the message says why in a few words."""


class Answer(NamedTuple):
    """`latency_s` runs from the request sent to the head of the answer, on an open connection."""

    status: int
    body: bytes
    latency_s: float


class Line:
    """Requests to one target.

    Resource handling: holds at most two connections until `close`.
    Error handling: every failure of the target is a LineError.
    """

    def __init__(self, address: Address, tls: ssl.SSLContext) -> None:
        self._origin = f"http://{address}"
        self._headers = {"host": str(address), "user-agent": "steelyard", "accept": "*/*"}
        self._transport = httpx.AsyncHTTPTransport(
            verify=tls,  # plain HTTP never uses it; given so that none is built for each target
            trust_env=False,
            limits=httpx.Limits(
                max_connections=_CONNECTIONS,
                max_keepalive_connections=_CONNECTIONS,
                keepalive_expiry=KEEP_ALIVE_S,
            ),
        )

    async def get(self, path: str, timeout_s: float) -> Answer:
        """GET `path`; the whole answer has to be here within `timeout_s`."""
        sent = answered = 0.0

        async def trace(event: str, info: dict[str, Any]) -> None:
            nonlocal sent, answered
            if event == _SENT:
                sent = time.perf_counter()
            elif event == _ANSWERED:
                answered = time.perf_counter()

        request = httpx.Request(
            "GET", self._origin + path, headers=self._headers, extensions={"trace": trace}
        )
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._transport.handle_async_request(request)
                try:
                    body = await _read(response)
                finally:
                    await response.aclose()
        except TimeoutError as error:
            raise LineError(f"no answer within {timeout_s:g} s") from error
        except httpx.ConnectError as error:
            raise LineError(f"no connection: {_words(error)}") from error
        except httpx.HTTPError as error:
            raise LineError(f"broken answer: {_words(error)}") from error
        return Answer(response.status_code, body, answered - sent)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_BODY_BYTES:
            raise LineError(f"answered more than {MAX_BODY_BYTES} bytes")
    return bytes(body)


def _words(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
