"""One child process of the supervisor: started by exec, spoken to over its hub, replaced on death.

A child gets its descriptors as numbers on the command line and everything else over the hub. It
runs in a session of its own, so Ctrl-C in a terminal reaches the supervisor alone; when the
supervisor is gone the hub says so and the child drains and exits by itself.
"""

from __future__ import annotations

import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from services.balancer.hub import Hub
from services.balancer.messages import Message
from services.balancer.relay import Feed, FleetPicture

QUICK_DEATH_S: Final = 10.0  # a child that lives shorter counts towards a crash loop
FIRST_DELAY_S: Final = 0.1
MAX_DELAY_S: Final = 5.0  # half the clients of two processes wait in its accept queue meanwhile

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """How children are started; descriptors and rows are appended as options."""

    dataplane: tuple[str, ...] = (sys.executable, "-m", "services.balancer.dataplane")
    control: tuple[str, ...] = (sys.executable, "-m", "services.balancer.control")


def restart_delay_s(quick_deaths: int) -> float:
    """How long to wait before a child is replaced: at once, then doubling up to a ceiling."""
    if quick_deaths <= 1:
        return 0.0
    doublings = min(quick_deaths - 2, 16)
    return float(min(MAX_DELAY_S, FIRST_DELAY_S * 2**doublings))


def describe_exit(returncode: int) -> str:
    """`exit 3`, or `SIGKILL` for a child that a signal ended (as subprocess reports it)."""
    if returncode >= 0:
        return f"exit {returncode}"
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"


class Child:
    """A place for a process: the same object lives on when the process is replaced.

    `row` is the data plane's row in the ledger, None for the control plane.
    """

    def __init__(
        self,
        name: str,
        row: int | None,
        *,
        command: Sequence[str],
        options: dict[str, int],
        descriptors: dict[str, int],
    ) -> None:
        self.name = name
        self.row = row
        self.ready = False
        self.restarts = 0
        self.quick_deaths = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.hub: Hub | None = None
        self.feed: Feed | None = None
        self._command = command
        self._options = options
        self._descriptors = descriptors
        self._started_at = 0.0

    def __repr__(self) -> str:
        state = "dead" if self.process is None else "ready" if self.ready else "starting"
        return f"<Child {self.name} {state}, restarts {self.restarts}>"

    @property
    def pid(self) -> int | None:
        """The process id while the process lives."""
        return None if self.process is None else self.process.pid

    def spawn(self) -> socket.socket:
        """Start the process; returns the supervisor's end of its hub.

        Raises OSError when the machine refuses (no memory, no processes left).
        """
        ours, theirs = socket.socketpair()
        try:
            descriptors = {"--hub-fd": theirs.fileno(), **self._descriptors}
            argv = list(self._command)
            for option, number in (descriptors | self._options).items():
                argv += [option, str(number)]
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                pass_fds=tuple(descriptors.values()),
                start_new_session=True,
            )
        except OSError:
            ours.close()
            self.quick_deaths += 1
            raise
        finally:
            theirs.close()
        self._started_at = time.monotonic()
        return ours

    async def connect(
        self,
        ours: socket.socket,
        picture: FleetPicture,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
    ) -> Feed:
        """Open the hub on `ours`; from here on the child can be fed."""
        hub = await Hub.open(ours, on_message, on_close, self._pump)
        self.hub, self.feed = hub, Feed(hub, picture)
        return self.feed

    def _pump(self) -> None:
        if self.feed is not None:
            self.feed.pump()

    def ended(self) -> float:
        """The process is gone (and reaped); returns how long to wait before its successor."""
        lived_s = time.monotonic() - self._started_at
        self.quick_deaths = self.quick_deaths + 1 if lived_s < QUICK_DEATH_S else 1
        if self.hub is not None:
            self.hub.abort()
        self.process = self.hub = self.feed = None
        self.ready = False
        return restart_delay_s(self.quick_deaths)

    def send_or_hang_up(self, message: Message) -> None:
        """Send what must arrive; a child too slow to take it sees the hub close instead."""
        if self.hub is not None and not self.hub.send(message):
            self.hub.abort()

    def kill(self) -> None:
        """SIGKILL, if the process still lives."""
        if self.process is not None:
            _log.warning("child killed", extra={"child": self.name, "child_pid": self.pid})
            self.process.kill()
