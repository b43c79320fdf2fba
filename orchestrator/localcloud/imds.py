"""The instance metadata service, version 2 only: a token first, then everything by its path.

Whoever asks is known by its source address. Source: EC2 user guide, "Instance metadata
categories". What the root lists is what real cloud-init crawls at boot.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

Tree = Mapping[str, Any]  # a leaf is a text, a branch another tree
_VERSIONS: Final = ("1.0", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
_TOKEN: Final = "/latest/api/token"  # noqa: S105 - a path
_MAX_TTL_S: Final = 21_600
_TIMEOUT_S: Final = 10
_AGE: Final = "X-aws-ec2-metadata-token-ttl-seconds"
_HEADER: Final = "X-aws-ec2-metadata-token"


def look_up(tree: Tree, path: str) -> str | None:
    """The leaf at a path, or a branch's names, a line each, branches with a slash.

    The first part of the path is a version. None: there is no such thing.
    """
    version, _, rest = path.strip("/").partition("/")
    if version not in _VERSIONS:
        return None
    at: Any = tree
    for part in filter(None, rest.split("/")):
        if not isinstance(at, Mapping) or part not in at:
            return None
        at = at[part]
    if isinstance(at, Mapping):
        return "\n".join(f"{k}/" if isinstance(v, Mapping) else k for k, v in at.items())
    return str(at)


def document(content: Mapping[str, Any]) -> str:
    """JSON as the service writes it."""
    return json.dumps(content, indent=2)


class Imds:
    """Serves until `close`. `tree_of` answers for a source address; None: nobody is known there."""

    def __init__(self, host: str, port: int, tree_of: Callable[[str], Tree | None]) -> None:
        handler = type("Handler", (_Handler,), {"tree_of": staticmethod(tree_of)})
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self._server.token = secrets.token_urlsafe(24)  # type: ignore[attr-defined] # handlers read it
        self._thread = threading.Thread(target=self._server.serve_forever, name="imds", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop; requests under way end with the process or their time limit."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_TIMEOUT_S)


class _Handler(BaseHTTPRequestHandler):
    tree_of: Callable[[str], Tree | None]
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        age = self.headers.get(_AGE, "")
        if self.path != _TOKEN or "X-Forwarded-For" in self.headers:
            self._answer(HTTPStatus.FORBIDDEN)
        elif not age.isdecimal() or not 1 <= int(age) <= _MAX_TTL_S:
            self._answer(HTTPStatus.BAD_REQUEST)
        else:
            self._answer(HTTPStatus.OK, self._token, {_AGE: age})

    def do_GET(self) -> None:
        if not hmac.compare_digest(self.headers.get(_HEADER, ""), self._token):
            self._answer(HTTPStatus.UNAUTHORIZED)
            return
        tree = self.tree_of(self.client_address[0])
        text = None if tree is None else look_up(tree, self.path.partition("?")[0])
        if text is None:
            self._answer(HTTPStatus.NOT_FOUND)
        else:
            self._answer(HTTPStatus.OK, text)

    @property
    def _token(self) -> str:
        return str(self.server.token)  # type: ignore[attr-defined] # set by Imds

    def _answer(
        self, status: HTTPStatus, text: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        body = text.encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: a boot asks a hundred times."""
