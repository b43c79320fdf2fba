"""uvicorn on an inherited listening socket, started and stopped by its owner."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, Final

import uvicorn

STOP_S: Final = 1  # for answers that are being sent
_STEP_S: Final = 0.005


class _Server(uvicorn.Server):
    """Signals belong to the supervisor."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class AdminServer:
    """Serves `app` until `stop`. The socket stays the supervisor's: only this copy is closed."""

    def __init__(self, app: Any, sock: socket.socket) -> None:
        self._sock = sock
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws="none",
                limit_concurrency=256,
                backlog=256,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=STOP_S,
            )
        )

    async def serve(self) -> None:
        """Until `stop`."""
        await self._server.serve(sockets=[self._sock])

    async def wait_started(self) -> None:
        """Until requests are answered (uvicorn offers a flag, no event)."""
        while not self._server.started:  # noqa: ASYNC110 - a flag is all there is
            await asyncio.sleep(_STEP_S)

    async def stop(self) -> None:
        """Take no more requests; `serve` returns once those that are being answered are done."""
        self._server.should_exit = True
