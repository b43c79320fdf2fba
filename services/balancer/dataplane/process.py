"""One data-plane process: its sockets, its channel to the supervisor, its beginning and end."""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import time
from collections.abc import Coroutine
from random import Random, SystemRandom
from typing import Any, Final

import uvloop

from services.balancer.dataplane.accept import ClientConnection
from services.balancer.dataplane.plane import Plane
from services.balancer.hub import Hub
from services.balancer.ledger import Ledger, ProcessCell
from services.balancer.messages import Configure, Drain, Membership, Message, Probes, Ready

BACKLOG: Final = 4096
LINGER_S: Final = 0.3  # a draining process serves this much longer what was on its way to it
MANY_NEW: Final = 2_000  # objects since the collector's last look
_PUBLISH_EVERY_S: Final = 0.25


class Process:
    """Joins the supervisor's messages, the listening socket and the plane.

    The process ends when it was told to drain and has, or when its supervisor is gone.
    """

    def __init__(self, *, ledger: Ledger, row: int, listener: socket.socket, rng: Random) -> None:
        self._ledger = ledger
        self._row = row
        self._listener = listener
        self._rng = rng
        self.plane: Plane | None = None  # once it is configured
        self._server: asyncio.Server | None = None
        self._hub: Hub | None = None
        self._ready = False
        self._draining = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, hub_fd: int) -> None:
        """Serve until the end. Raises what a task of the process raised."""
        self._hub = await Hub.open(hub_fd, self._on_message, self._on_supervisor_gone)
        self._spawn(self._keep_gauges())
        try:
            await self._ended
        finally:
            for task in list(self._tasks):
                task.cancel()
            if self._server is not None:
                self._server.close()
            if self.plane is not None:
                self.plane.publish()
                self.plane.close()
            self._hub.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        """A task that fails ends the process: the supervisor starts a sound one."""
        self._tasks.discard(task)
        if not task.cancelled() and not self._ended.done():
            error = task.exception()
            if error is not None:
                self._ended.set_exception(error)

    # -- the supervisor's messages -----------------------------------------------------------------

    def _on_message(self, message: Message) -> None:
        match message:
            case Configure():
                self._configure(message)
            case Membership() if self.plane is not None:
                self.plane.member(message)
                if gc.get_count()[0] > MANY_NEW:  # targets stay: a look at all of them takes long
                    gc.freeze()
                if message.full and message.last and not self._ready:
                    self._ready = True
                    self._spawn(self._listen(self.plane))
            case Probes() if self.plane is not None:
                self.plane.probed(message)
            case Drain():
                self._drain_once(message.deadline_s, message.linger_s)
            case _:
                raise ValueError(f"a data plane cannot take {type(message).__name__} now")

    def _configure(self, message: Configure) -> None:
        if self.plane is not None:
            self.plane.configure(message.config, message.columns)
            return
        self.plane = Plane(
            loop=asyncio.get_running_loop(),
            ledger=self._ledger,
            row=self._row,
            config=message.config,
            columns=message.columns,
            rng=self._rng,
        )

    def _on_supervisor_gone(self) -> None:
        """Nobody looks after this process any more: finish what is pending, then go."""
        plane = self.plane
        self._drain_once(plane.config.timeouts.drain_s if plane is not None else 0.0)

    def _drain_once(self, deadline_s: float, linger_s: float = 0.0) -> None:
        if not self._draining:
            self._draining = True
            self._spawn(self._drain(deadline_s, linger_s))

    # -- stages of the process's life --------------------------------------------------------------

    async def _listen(self, plane: Plane) -> None:
        """Take connections: only now, so that nobody meets a process that knows no target."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: ClientConnection(plane),  # type: ignore[arg-type,return-value] # by shape
            sock=self._listener,
            backlog=BACKLOG,
        )
        # Everything so far lives as long as the process: keep the collector away from it.
        gc.freeze()
        gc.enable()
        if self._hub is not None:
            self._hub.send(Ready(pid=os.getpid()))

    async def _drain(self, deadline_s: float, linger_s: float) -> None:
        """Stop in order: say so on every answer, close the door, wait for the last, cut."""
        plane = self.plane
        if plane is not None:
            until = plane.clock() + deadline_s
            plane.draining = True
            await asyncio.sleep(min(LINGER_S, deadline_s))
            if self._server is not None:
                self._server.close()
            if linger_s:
                await plane.wait_idle(min(linger_s, max(until - plane.clock(), 0.0)))
            plane.drain()
            await plane.wait_idle(max(until - plane.clock(), 0.0))
        self._ended.set_result(None)

    async def _keep_gauges(self) -> None:
        cells = self._ledger.process(self._row)
        while True:
            if self.plane is not None:
                for _ in self.plane.publishing():
                    await asyncio.sleep(0)
            cells[ProcessCell.CPU_US] = time.process_time_ns() // 1000
            cells[ProcessCell.TASKS] = len(asyncio.all_tasks())
            await asyncio.sleep(_PUBLISH_EVERY_S)


def calm_collector() -> None:
    """Seldom look for cycles, of which there are few; not at all until the process listens."""
    gc.set_threshold(20_000, 20, 50)
    gc.collect()  # what importing left; what comes until then is there to stay
    gc.disable()


def main() -> None:
    """Parse what the supervisor passed, and run on uvloop."""
    parser = argparse.ArgumentParser(prog="services.balancer.dataplane")
    for name in ("--hub-fd", "--ledger-fd", "--rows", "--row", "--listen-fd"):
        parser.add_argument(name, type=int, required=True)
    args = parser.parse_args()
    # The supervisor speaks over the channel; a Ctrl-C in its terminal must not reach its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    calm_collector()
    uvloop.run(_run(args))


async def _run(args: argparse.Namespace) -> None:
    process = Process(
        ledger=Ledger(args.ledger_fd, args.rows),
        row=args.row,
        listener=socket.socket(fileno=args.listen_fd),
        rng=Random(SystemRandom().getrandbits(64)),
    )
    await process.run(args.hub_fd)
