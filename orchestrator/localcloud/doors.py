"""What a user may do to the local cloud and to no other: make happen what AWS decides by itself.

    POST /steelyard-cloud/interrupt/i-...     a spot interruption notice

Answers are JSON, `{"time": ...}`, or 404 with `{"error": ...}`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpx

from orchestrator.aws.errors import CloudError
from orchestrator.localcloud.spot import interrupt
from orchestrator.localcloud.world import World

PREFIX: Final = "/steelyard-cloud/"
_INTERRUPT: Final = f"{PREFIX}interrupt/"
_TIMEOUT_S: Final = 10.0


def opened(world: World, app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """A WSGI app with these doors before it. Whoever calls it holds the world's lock."""

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX):
            return app(environ, start_response)
        status, body = "404 Not Found", {"error": f"no door {path}"}
        if environ.get("REQUEST_METHOD") == "POST" and path.startswith(_INTERRUPT):
            try:
                status, body = "200 OK", {"time": interrupt(world, path.removeprefix(_INTERRUPT))}
            except ValueError as error:
                body = {"error": str(error)}
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(body).encode()]

    return answer


def ask_to_interrupt(endpoint: str, ident: str) -> str:
    """From outside: when the instance will end. Raises CloudError."""
    try:
        answer = httpx.post(f"{endpoint}{_INTERRUPT}{ident}", timeout=_TIMEOUT_S)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise CloudError(endpoint, f"the local cloud does not answer: {error}") from error
    if "error" in body:
        raise CloudError(ident, body["error"], "steelyard status names the instances")
    return str(body["time"])
