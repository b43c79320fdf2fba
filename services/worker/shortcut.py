"""Requests that leave nothing to parse, answered before FastAPI sees them.

A plain `GET /cluster1` and every probe need no validation, and FastAPI's machinery costs twenty
times what they do. The answers are the very same objects that the routes in `app` send; anything
with a query, a body or another method goes on to the routes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from services.contract import HEALTH_PATH, LOAD_PATH, READY_PATH
from services.worker.service import Answer, Service

_METHODS: Final = frozenset({"GET", "HEAD"})
_BODY_HEADERS: Final = frozenset({b"content-length", b"transfer-encoding"})


class Shortcut:
    """The ASGI layer in front of the routes."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._serve = service.serve
        self._served = frozenset(f"/{cluster}" for cluster in service.clusters)
        self._known: dict[str, Callable[[], Answer]] = {
            HEALTH_PATH: service.health,
            READY_PATH: service.readiness,
            LOAD_PATH: service.load,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http" and not scope["query_string"] and scope["method"] in _METHODS:
            path = scope["path"]
            if path in self._served:
                if not any(name in _BODY_HEADERS for name, _ in scope["headers"]):
                    await _send(send, await self._serve(receive))
                    return
            elif path in self._known:
                await _send(send, self._known[path]())
                return
        await self._app(scope, receive, send)


async def _send(send: Send, answer: Answer) -> None:
    headers = [
        (b"content-length", b"%d" % len(answer.body)),
        (b"content-type", b"application/json"),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
