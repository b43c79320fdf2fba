"""The control plane's process: knows the fleet, serves the admin API, never touches a request.

    python -m services.balancer.control --hub-fd N --ledger-fd N --rows R --admin-fd N

Started by the supervisor, which says everything else over the hub and ends it with `Drain`; when
the hub closes, the supervisor is gone and so is this process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
from random import Random
from typing import Final

import uvloop

from services.balancer.admin import AdminServer, Status, make_app
from services.balancer.cloudwatch import Following
from services.balancer.config import Config
from services.balancer.fleet.attend import Fleet
from services.balancer.hub import Hub
from services.balancer.ledger import Ledger
from services.balancer.log import start_logging
from services.balancer.messages import (
    Configure,
    Drain,
    Membership,
    Message,
    Processes,
    Ready,
    ReloadRequest,
    ReloadResult,
    TargetPicture,
)
from services.balancer.peers.attend import Peers

BEGIN_S: Final = 5.0  # for the supervisor's first words
RELOAD_S: Final = 10.0


class Control:
    """Takes the supervisor's messages and keeps what the admin API shows.

    The supervisor begins with Configure, then the picture from before a restart if there is one,
    and Processes. Only when that is complete does the fleet start, or it would make known targets
    new ones.
    """

    def __init__(self, ledger: Ledger, group: asyncio.TaskGroup) -> None:
        self.status = Status()
        self.ledger = ledger
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.fleet: Fleet | None = None
        self.peers = Peers(ledger, group)
        self.cloudwatch: Following | None = None
        self.hub: Hub | None = None
        self._group = group
        self._config: Config | None = None
        self._before: dict[str, TargetPicture] = {}
        self._run_open = False  # a full run has begun and its last slice is not here yet
        self._reloads: dict[int, asyncio.Future[ReloadResult]] = {}
        self._reload_id = 0

    def on_message(self, message: Message) -> None:
        """From the supervisor."""
        if isinstance(message, Configure):
            self._configure(message)
        elif isinstance(message, Processes):
            self.status.processes = message.processes
        elif isinstance(message, Membership):
            if self.fleet is None:
                self._before.update((picture.id, picture) for picture in message.upserts)
                self._run_open = not message.last
        elif isinstance(message, ReloadResult):
            waiter = self._reloads.pop(message.id, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(message)
        elif isinstance(message, Drain):
            self.status.draining = True
            self.ended.set()
        begun = self.status.processes is not None and self._config is not None
        if begun and not self._run_open:
            self.begun.set()

    def on_close(self) -> None:
        """The supervisor is gone."""
        self.ended.set()

    def on_writable(self) -> None:
        """The supervisor has room again."""
        if self.fleet is not None:
            self.fleet.publisher.flush()

    def start_fleet(self, hub: Hub) -> Fleet:
        """Everything that had to be known first is known."""
        if self._config is None:
            raise RuntimeError("start_fleet before the configuration")
        self.hub = hub
        self.fleet = Fleet(self.ledger, hub, self._group, Random(), followers=(self.peers,))
        self.fleet.start(self._config, list(self._before.values()))
        self.peers.configure(self._config.balancers, self.fleet.regions)
        self._before.clear()
        self.cloudwatch = Following(self.fleet, self.ledger, self._group, Random())
        self.cloudwatch.configure(self._config)
        return self.fleet

    async def reload(self) -> ReloadResult:
        """Ask the supervisor to read the configuration again. TimeoutError when it says nothing."""
        self._reload_id += 1
        waiter: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        self._reloads[self._reload_id] = waiter
        try:
            if self.hub is None or not self.hub.send(ReloadRequest(id=self._reload_id)):
                raise TimeoutError
            async with asyncio.timeout(RELOAD_S):
                return await waiter
        finally:
            self._reloads.pop(self._reload_id, None)

    def _configure(self, message: Configure) -> None:
        self._config = self.status.config = message.config
        self.status.config_version = message.version
        self.status.columns = message.columns
        if self.fleet is not None:
            self.fleet.configure(message.config)
            self.peers.configure(message.config.balancers, self.fleet.regions)
        if self.cloudwatch is not None:
            self.cloudwatch.configure(message.config)


async def run(ledger: Ledger, hub_fd: int, admin_fd: int) -> None:
    """Until the supervisor says Drain or is gone."""
    async with asyncio.TaskGroup() as group:
        control = Control(ledger, group)
        hub = await Hub.open(hub_fd, control.on_message, control.on_close, control.on_writable)
        begun = asyncio.create_task(control.begun.wait())
        ended = asyncio.create_task(control.ended.wait())
        await asyncio.wait({begun, ended}, timeout=BEGIN_S, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if control.ended.is_set() or not control.begun.is_set():
            ended.cancel()
            hub.abort()
            await control.peers.close()
            return
        fleet = control.start_fleet(hub)
        app = make_app(fleet, ledger, control.status, control.reload, control.peers)
        server = AdminServer(app, socket.socket(fileno=admin_fd))
        serving = group.create_task(server.serve(), name="admin")
        await server.wait_started()
        hub.send(Ready(pid=os.getpid()))
        gc.freeze()  # what was imported stays; to look for cycles in it would hold up news for long
        await ended
        if control.cloudwatch is not None:
            await control.cloudwatch.close()
        await server.stop()
        await serving
        await fleet.close()
        await control.peers.close()
        hub.close()


def main(argv: list[str] | None = None) -> int:
    """Run the control plane with the descriptors that the supervisor passed on."""
    parser = argparse.ArgumentParser(prog="python -m services.balancer.control")
    for option in ("--hub-fd", "--ledger-fd", "--rows", "--admin-fd"):
        parser.add_argument(option, type=int, required=True)
    arguments = parser.parse_args(argv)
    start_logging("control")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # the supervisor ends this process, with Drain
    ledger = Ledger(arguments.ledger_fd, arguments.rows)
    with contextlib.closing(ledger):
        uvloop.run(run(ledger, arguments.hub_fd, arguments.admin_fd))
    return 0


if __name__ == "__main__":
    sys.exit(main())
