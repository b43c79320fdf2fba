"""SIGTERM: give notice, stop accepting, finish what is pending, exit.

A balancer needs `interval x fall` seconds to see a failing readiness check. A server that stops
accepting at once, as uvicorn does by itself, loses the requests of that time; so the phases are:

    serving   --TERM-->                  notice     /readyz answers 503, everything is served
    notice    --time over, TERM, INT-->  stopping   no new connections; pending requests finish
    serving   --INT (Ctrl-C)-->          stopping   with a second for pending requests
    stopping  --TERM, INT-->             forced     pending requests are cut
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import signal
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn

from services.worker.connection import BoundedConnection
from services.worker.log import LineLog

INTERRUPT_GRACE_S: Final = 1
STALL_CHECK_TICKS: Final = 10  # uvicorn ticks ten times a second


class Phase(enum.Enum):
    """Where in its end a worker is."""

    SERVING = "serving"
    NOTICE = "notice"
    STOPPING = "stopping"
    FORCED = "forced"


class Cause(enum.Enum):
    """What moves it on."""

    TERM = "SIGTERM"
    INT = "SIGINT"
    NOTICE_OVER = "notice over"


TRANSITIONS: Final = {
    (Phase.SERVING, Cause.TERM): Phase.NOTICE,
    (Phase.SERVING, Cause.INT): Phase.STOPPING,
    (Phase.NOTICE, Cause.TERM): Phase.STOPPING,
    (Phase.NOTICE, Cause.INT): Phase.STOPPING,
    (Phase.NOTICE, Cause.NOTICE_OVER): Phase.STOPPING,
    (Phase.STOPPING, Cause.TERM): Phase.FORCED,
    (Phase.STOPPING, Cause.INT): Phase.FORCED,
}


class Drain:
    """The phase that this worker is in; `ready` is what /readyz says."""

    def __init__(self, entered: Callable[[Phase, Cause], None]) -> None:
        self.phase = Phase.SERVING
        self._entered = entered

    @property
    def ready(self) -> bool:
        """Whether this worker wants traffic."""
        return self.phase is Phase.SERVING

    def move(self, cause: Cause) -> None:
        """Enter the phase that follows; a cause that leads nowhere from here is ignored."""
        phase = TRANSITIONS.get((self.phase, cause))
        if phase is not None:
            self.phase = phase
            self._entered(phase, cause)


class DrainingServer(uvicorn.Server):
    """uvicorn's server with the phases above, and connections that can't stall for ever."""

    def __init__(
        self, config: uvicorn.Config, *, notice_s: float, grace_s: float, log: LineLog
    ) -> None:
        super().__init__(config)
        self.drain = Drain(self._entered)
        self._notice_s = notice_s
        self._grace_s = grace_s
        self._log = log

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replace uvicorn's handlers, which stop accepting at once and end by the signal."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.drain.move, Cause.TERM)
        loop.add_signal_handler(signal.SIGINT, self.drain.move, Cause.INT)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    async def on_tick(self, counter: int) -> bool:
        """Close stalled connections once a second; the rest is uvicorn's."""
        if counter % STALL_CHECK_TICKS == 0:
            for connection in list(self.server_state.connections):
                if isinstance(connection, BoundedConnection):
                    connection.close_if_stalled()
        return await super().on_tick(counter)

    def _entered(self, phase: Phase, cause: Cause) -> None:
        self._log.event(phase.value, cause=cause.value)
        if phase is Phase.NOTICE:
            asyncio.get_running_loop().call_later(
                self._notice_s, self.drain.move, Cause.NOTICE_OVER
            )
        elif phase is Phase.STOPPING:
            left_s = self._grace_s - self._notice_s
            if cause is Cause.INT:
                left_s = min(left_s, INTERRUPT_GRACE_S)
            self.config.timeout_graceful_shutdown = max(round(left_s), 0)
            self.should_exit = True
        else:
            self.force_exit = True
