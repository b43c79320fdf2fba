"""One handle per request: pending, latency, the load report header, one log line. Pure ASGI.

Health, readiness and load report requests carry the header too, but count neither as pending nor
in latency: a worker that is only probed is idle.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.contract import HEALTH_PATH, LOAD_HEADER, LOAD_PATH, READY_PATH
from services.worker.identity import Identity
from services.worker.load_report import LoadReport
from services.worker.log import LineLog, quoted, timestamp

UNCOUNTED: Final = frozenset({"/", HEALTH_PATH, READY_PATH, LOAD_PATH})
CLIENT_GONE: Final = 499  # in the log only: nobody was there to read a status
SERVER_FAULT: Final = 500
FIRST_FAILURE: Final = 400  # the latency of a refusal says nothing of the work
MAX_LOGGED: Final = 512  # characters of a path or request id

_LOAD_HEADER: Final = LOAD_HEADER.encode()


class Observe:
    """The outermost ASGI layer. Above `max_pending` it answers 503 by itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        report: LoadReport,
        identity: Identity,
        log: LineLog | None,
        log_uncounted: bool,
        max_pending: int,
    ) -> None:
        self._app = app
        self._report = report
        self._log = log
        self._log_uncounted = log_uncounted
        self._max_pending = max_pending
        # The constant tail of every log line, encoded once.
        self._who = json.dumps({"instance": identity.instance_id, "cluster": identity.cluster})[1:]
        self.cut = 0  # requests that the end of the grace time interrupted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or pass on what is not one (lifespan)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        report = self._report
        arrived_s = time.monotonic()
        exchange = _Exchange(report, send)
        if scope["path"] in UNCOUNTED:
            await self._app(scope, receive, exchange.send)
            if self._log_uncounted:
                self._write(scope, exchange.status, time.monotonic() - arrived_s)
            return
        met = report.begin(arrived_s)
        try:
            if met >= self._max_pending:
                await exchange.refuse(b"too many pending requests")
            else:
                await self._app(scope, receive, exchange.send)
        except asyncio.CancelledError:
            # Only the server cancels, at the end of the grace time, and this is its task's last
            # frame: an answer is of more use to the client than a cancelled task to the server.
            self.cut += 1
            if exchange.status:
                raise
            await exchange.refuse(b"shutting down")
        finally:
            ended_s = time.monotonic()
            status = exchange.status or SERVER_FAULT
            latency_s = ended_s - arrived_s
            report.end(ended_s, met, latency_s if status < FIRST_FAILURE else None)
            if self._log is not None:
                self._write(scope, status, latency_s)

    def _write(self, scope: Scope, status: int, latency_s: float) -> None:
        if self._log is None:
            return
        request_id = ""
        for name, value in scope["headers"]:
            if name == b"x-request-id":
                request_id = f'"request_id": {json.dumps(value.decode("latin-1")[:MAX_LOGGED])}, '
        self._log.write(
            f'{{"time": "{timestamp(time.time())}", "event": "request", '
            f'"method": "{scope["method"]}", "path": {quoted(scope["path"][:MAX_LOGGED])}, '
            f'"status": {status}, "ms": {latency_s * 1000:.3f}, '
            f'"pending": {self._report.pending}, {request_id}{self._who}'
        )


class _Exchange:
    """What is known of one response; adds the load report to its head."""

    __slots__ = ("_report", "_send", "status")

    def __init__(self, report: LoadReport, send: Send) -> None:
        self._report = report
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            value = self._report.header(time.monotonic())
            message["headers"] = [*message["headers"], (_LOAD_HEADER, value)]
        await self._send(message)

    async def refuse(self, reason: bytes) -> None:
        """Answer 503 and close the connection."""
        body = b'{"detail": "%s"}' % reason
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"retry-after", b"1"),
            (b"connection", b"close"),
        ]
        await self.send({"type": "http.response.start", "status": 503, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})
