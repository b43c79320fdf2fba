"""The parent of a balancer's processes (PID 1 in a container): no request passes through it.

It holds what must outlive any child: listening sockets, shared memory, the fleet's picture, the
configuration in force. Children die and are replaced one by one; the rest go on.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from services.balancer.children import Child, Commands, describe_exit
from services.balancer.config import Config
from services.balancer.in_force import InForce
from services.balancer.ledger import Ledger
from services.balancer.messages import (
    Drain,
    Membership,
    Message,
    Probes,
    Processes,
    ProcessPicture,
    Ready,
    ReloadRequest,
    ReloadResult,
)
from services.balancer.relay import FleetPicture
from services.balancer.sockets import Sockets
from services.balancer.upgrade import Inheritance, Upgrade

OVERTIME_S: Final = 2.0  # for a child to exit after its drain deadline, before it is killed
CONTROL_DRAIN_S: Final = 2.0
ONE_PRESS_S: Final = 0.5  # a terminal and a parent may both pass on the same Ctrl-C

_log = logging.getLogger(__name__)


class Supervisor:
    """Runs one balancer until a signal ends it.

    Resource handling: uses `sockets` and `ledger`, which the caller made and closes. `run` returns
    only when every child has exited.
    Error handling: a wrong configuration at a reload is logged and answered; the old one stays. A
    child that cannot be started is tried again, later and later.
    """

    def __init__(
        self,
        config: Config,
        load: Callable[[], Config],
        sockets: Sockets,
        ledger: Ledger,
        *,
        open_files: int,
        commands: Commands | None = None,
        inherited: Inheritance | None = None,
        on_serving: Callable[[], None] = lambda: None,
    ) -> None:
        commands = commands or Commands()
        self._in_force = InForce(config, load, open_files)
        self._sockets = sockets
        self._ledger = ledger
        self._picture = FleetPicture()
        if inherited is not None:
            self._picture.inherit(inherited.picture)
        self._upgrade = Upgrade(sockets, inherited, self._on_stop_signal)
        self._on_serving = on_serving
        self._serving = False  # every child has been ready, once
        rows = {"--rows": config.processes}
        self._dataplanes = tuple(
            Child(
                f"dataplane-{row}",
                row,
                command=commands.dataplane,
                options=rows | {"--row": row},
                descriptors={"--ledger-fd": ledger.fd, "--listen-fd": sock.fileno()},
            )
            for row, sock in enumerate(sockets.listen)
        )
        self._control = Child(
            "control",
            None,
            command=commands.control,
            options=rows,
            descriptors={"--ledger-fd": ledger.fd, "--admin-fd": sockets.admin.fileno()},
        )
        self._stopping = False
        self._forced = False
        self._stop_at = 0.0  # loop time of the first signal
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()  # a child has ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._restarts: dict[Child, asyncio.TimerHandle] = {}

    async def run(self) -> int:
        """Start everything, wait for the end; returns the exit code (1 when the end was forced)."""
        loop = asyncio.get_running_loop()
        handlers = {
            signal.SIGTERM: self._on_stop_signal,
            signal.SIGINT: self._on_stop_signal,
            signal.SIGHUP: self.reload,
            signal.SIGUSR2: self._on_upgrade_signal,
            signal.SIGCHLD: self._reap,
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        self._reap()  # an orphan that died before there was a handler to hear of it
        try:
            _log.info(
                "balancer started",
                extra={
                    "listen": _address(self._sockets.listen[0]),
                    "admin": _address(self._sockets.admin),
                    "processes": len(self._dataplanes),
                },
            )
            for child in self._children():
                self._start(child)
            await self._stop.wait()
            await self._drain()
        finally:
            await self._kill_all()
            self._upgrade.close()
            for number in handlers:
                loop.remove_signal_handler(number)
        _log.info("balancer stopped", extra={"forced": self._forced})
        return 1 if self._forced else 0

    # -- children --------------------------------------------------------------------------------

    def _children(self) -> Iterator[Child]:
        yield self._control
        yield from self._dataplanes

    def _start(self, child: Child) -> None:
        self._restarts.pop(child, None)
        if self._stopping:
            return
        try:
            ours = child.spawn()
        except OSError as error:
            _log.error("child not started", extra={"child": child.name, "reason": str(error)})
            self._start_later(child, child.ended())
            return
        _log.info("child started", extra={"child": child.name, "child_pid": child.pid})
        task = asyncio.create_task(self._connect(child, ours))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, child: Child, ours: socket.socket) -> None:
        pid = child.pid
        feed = await child.connect(
            ours,
            self._picture,
            lambda message: self._on_message(child, pid, message),
            lambda: self._on_hub_closed(child, pid),
        )
        if child.pid != pid or pid is None:  # it died in the meantime
            return
        if self._stopping and child.hub is not None:
            child.hub.abort()  # too late to be told anything else
            return
        feed.tell(self._in_force.message)
        if self._picture.known:
            feed.full()
        self._tell_processes()

    def _start_later(self, child: Child, delay_s: float) -> None:
        if self._stopping or child in self._restarts:
            return
        if delay_s:
            _log.error(
                "child keeps dying, waiting before the next try",
                extra={"child": child.name, "deaths": child.quick_deaths, "delay_s": delay_s},
            )
        child.restarts += 1
        loop = asyncio.get_running_loop()
        self._restarts[child] = loop.call_later(delay_s, self._start, child)

    def _reap(self) -> None:
        """Collect every dead process, also orphans that PID 1 was handed."""
        ours = {child.pid: child for child in self._children() if child.pid is not None}
        while True:
            try:
                # Look first, so that our own are collected through their Popen objects.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            child = ours.pop(found.si_pid, None)
            if child is not None and child.process is not None:
                self._on_exit(child, child.process.wait())
            elif not self._upgrade.reaped(found.si_pid):
                os.waitpid(found.si_pid, 0)

    def _on_exit(self, child: Child, returncode: int) -> None:
        expected = self._stopping and returncode == 0
        _log.log(
            logging.INFO if expected else logging.ERROR,
            "child ended",
            extra={"child": child.name, "child_pid": child.pid, "by": describe_exit(returncode)},
        )
        delay_s = child.ended()
        if child.row is None:
            self._picture.forget_run()
            self._ledger.zero_elsewhere()  # nobody is there to hear what has changed
        else:
            self._ledger.zero_pending(child.row)
        self._start_later(child, delay_s)
        self._tell_processes()
        self._changed.set()

    def _on_hub_closed(self, child: Child, pid: int | None) -> None:
        """A child that hung up drains and exits; one that does not is killed."""
        if pid is not None and child.pid == pid:
            patience_s = self._in_force.config.timeouts.drain_s + OVERTIME_S
            asyncio.get_running_loop().call_later(patience_s, self._kill_if_still, child, pid)

    def _kill_if_still(self, child: Child, pid: int) -> None:
        if child.pid == pid:
            child.kill()

    # -- messages --------------------------------------------------------------------------------

    def _on_message(self, child: Child, pid: int | None, message: Message) -> None:
        if child.pid != pid:
            return  # from a process that is already replaced
        if isinstance(message, Ready):
            child.ready = True
            _log.info("child ready", extra={"child": child.name, "child_pid": pid})
            self._tell_processes()
            self._on_child_ready()
        elif child is not self._control:
            _log.error("data plane sent a message that is not its own", extra={"child": child.name})
        elif isinstance(message, Membership):
            self._relay_membership(message)
        elif isinstance(message, Probes):
            for dataplane in self._dataplanes:
                if dataplane.feed is not None:
                    dataplane.feed.probes(message)
        elif isinstance(message, ReloadRequest):
            problems = self.reload()
            result = ReloadResult(id=message.id, version=self._in_force.version, problems=problems)
            child.send_or_hang_up(result)
        else:
            _log.error("control plane sent a message that is not its own")

    def _relay_membership(self, message: Membership) -> None:
        completed = self._picture.apply(message)
        if message.full and not completed:
            return
        difference = msgspec.structs.replace(message, version=self._picture.next_version())
        for dataplane in self._dataplanes:
            if dataplane.feed is None:
                continue
            if completed:
                dataplane.feed.full()
            elif self._picture.known:
                dataplane.feed.membership(difference)

    def _tell_processes(self) -> None:
        if self._control.feed is not None:
            pictures = tuple(
                ProcessPicture(
                    row=child.row or 0,
                    pid=child.pid or 0,
                    ready=child.ready,
                    restarts=child.restarts,
                )
                for child in self._dataplanes
            )
            self._control.feed.tell(Processes(processes=pictures))

    # -- reload ----------------------------------------------------------------------------------

    def reload(self) -> tuple[str, ...]:
        """Read the configuration again; returns the problems, none when it is in force now."""
        problems = self._in_force.replace()
        if not problems:
            for child in self._children():
                if child.feed is not None:
                    child.feed.tell(self._in_force.message)
        return problems

    # -- upgrade ---------------------------------------------------------------------------------

    def _on_child_ready(self) -> None:
        if not self._serving and all(child.ready for child in self._children()):
            self._serving = True
            self._upgrade.serving()
            self._on_serving()

    def _on_upgrade_signal(self) -> None:
        busy = "stopping" if self._stopping else "" if self._serving else "starting"
        self._upgrade.start(self._in_force.config, self._picture.targets.values(), busy)

    # -- the end ---------------------------------------------------------------------------------

    def _on_stop_signal(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self._stopping:
            self._stopping = True
            self._stop_at = now
            self._stop.set()
        elif now - self._stop_at > ONE_PRESS_S:
            _log.warning("second signal: stopping now")
            self._forced = True
            self._changed.set()

    async def _drain(self) -> None:
        """Data planes first, so that the control plane watches them to the end."""
        for timer in self._restarts.values():
            timer.cancel()
        self._restarts.clear()
        self._sockets.close_listen(shared=self._upgrade.shared)
        drain_s = self._in_force.config.timeouts.drain_s
        _log.info("draining", extra={"deadline_s": drain_s})
        if self._upgrade.succeeded:  # from now on the admin API is the successor's
            await self._drain_children((self._control,), CONTROL_DRAIN_S)
        await self._drain_children(self._dataplanes, drain_s)
        await self._drain_children((self._control,), CONTROL_DRAIN_S)

    async def _drain_children(self, children: tuple[Child, ...], drain_s: float) -> None:
        for child in children:
            child.send_or_hang_up(Drain(deadline_s=drain_s, linger_s=self._upgrade.linger_s))
        loop = asyncio.get_running_loop()
        deadline = loop.time() + drain_s + OVERTIME_S
        while not self._forced and any(child.process for child in children):
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                _log.error("drain deadline passed", extra={"deadline_s": drain_s})
                for child in children:
                    child.kill()
                deadline = loop.time() + OVERTIME_S

    async def _kill_all(self) -> None:
        self._stopping = True
        for child in self._children():
            child.kill()
        while any(child.process for child in self._children()):
            self._changed.clear()
            await self._changed.wait()
        for task in tuple(self._tasks):
            task.cancel()


def _address(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
