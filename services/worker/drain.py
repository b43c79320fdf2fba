"""SIGTERM: give notice, stop accepting, finish what is pending, exit. SIGUSR1: notice alone.

A balancer needs `interval x fall` seconds to see a failing readiness check. A server that stops
accepting at once, as uvicorn does by itself, loses the requests of that time; so the phases are:

    serving   --USR1-->                  away       /readyz answers 503, everything is served
    away      --USR2-->                  serving    it wants traffic again
    serving, away  --TERM-->             notice     as away, for a while
    notice    --time over, TERM, INT-->  stopping   no new connections; pending requests finish
    serving, away  --INT (Ctrl-C)-->     stopping   with a second for pending requests
    stopping  --TERM, INT-->             forced     pending requests are cut

Signals come from the worker's own machine (`docker kill --signal USR1`), never from a client.
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
    AWAY = "away"
    NOTICE = "notice"
    STOPPING = "stopping"
    FORCED = "forced"


class Cause(enum.Enum):
    """What moves it on."""

    TERM = "SIGTERM"
    INT = "SIGINT"
    LEAVE = "SIGUSR1"
    RETURN = "SIGUSR2"
    NOTICE_OVER = "notice over"


TRANSITIONS: Final = {
    (Phase.SERVING, Cause.TERM): Phase.NOTICE,
    (Phase.SERVING, Cause.INT): Phase.STOPPING,
    (Phase.SERVING, Cause.LEAVE): Phase.AWAY,
    (Phase.AWAY, Cause.RETURN): Phase.SERVING,
    (Phase.AWAY, Cause.TERM): Phase.NOTICE,
    (Phase.AWAY, Cause.INT): Phase.STOPPING,
    (Phase.NOTICE, Cause.TERM): Phase.STOPPING,
    (Phase.NOTICE, Cause.INT): Phase.STOPPING,
    (Phase.NOTICE, Cause.NOTICE_OVER): Phase.STOPPING,
    (Phase.STOPPING, Cause.TERM): Phase.FORCED,
    (Phase.STOPPING, Cause.INT): Phase.FORCED,
}
SIGNALS: Final = (Cause.TERM, Cause.INT, Cause.LEAVE, Cause.RETURN)


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
        for cause in SIGNALS:
            loop.add_signal_handler(signal.Signals[cause.value], self.drain.move, cause)
        try:
            yield
        finally:
            for cause in SIGNALS:
                loop.remove_signal_handler(signal.Signals[cause.value])

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
        elif phase is Phase.FORCED:
            self.force_exit = True
