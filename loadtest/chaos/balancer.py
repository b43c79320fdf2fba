"""The balancer as real processes: started, asked over its admin API, looked at, ended.

It is an external program here as HAProxy would be: nothing of it is imported.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx
import psutil

READY_S: Final = 30.0
EXIT_S: Final = 30.0
API_S: Final = 5.0
LOOK_S: Final = 0.05


class ChaosError(Exception):
    """Something that keeps the run from going on; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds."""

    role: str  # supervisor, control or dataplane
    pid: int
    rss_bytes: int
    descriptors: int


class Balancer:
    """`async with Balancer(folder, config) as balancer:`; ready in the block, gone after it."""

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        self.config = config
        self.port = int(config["listen"].rpartition(":")[2])
        self.processes = int(config["processes"])
        self.log = folder / "balancer.log"
        self._file = folder / "balancer.yaml"
        self._pid_file = folder / "balancer.pid"
        self._process: asyncio.subprocess.Process | None = None
        # A control plane that was killed must not be met again on a kept connection.
        self._client = httpx.AsyncClient(
            base_url=f"http://{config['admin']}",
            trust_env=False,
            timeout=API_S,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        self.write_config(self.config)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.balancer", "--config", str(self._file)),
                *("--pid-file", str(self._pid_file)),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the run to pass on
            )
        try:
            await self.wait_whole(READY_S)
        except BaseException:  # a cancelled start leaves no process behind either
            await self._end()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._end()

    # -- what it is --------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id of the supervisor that serves; after an upgrade it is another's."""
        if self._process is None:
            raise RuntimeError("not started")
        try:
            return int(self._pid_file.read_text())
        except FileNotFoundError:  # it does not serve yet
            return self._process.pid

    def tree(self) -> dict[str, list[psutil.Process]]:
        """Its processes by role."""
        supervisor = psutil.Process(self.pid)
        found: dict[str, list[psutil.Process]] = {"supervisor": [supervisor]}
        for child in supervisor.children():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                line = child.cmdline()
                for role in ("dataplane", "control"):
                    if f"services.balancer.{role}" in line:
                        found.setdefault(role, []).append(child)
        return found

    def held(self) -> list[Held]:
        """Memory and descriptors of every process of it."""
        return [
            Held(role, process.pid, process.memory_info().rss, process.num_fds())
            for role, processes in self.tree().items()
            for process in processes
        ]

    def client_ports(self, process: psutil.Process) -> frozenset[int]:
        """The far ends of the client connections that one process holds."""
        return frozenset(
            connection.raddr.port
            for connection in process.net_connections("tcp")
            if connection.raddr and connection.laddr.port == self.port
        )

    async def ask(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """The admin API's answer: status and JSON; status 0 where nobody answers."""
        try:
            answer = await self._client.request(method, path)
            return answer.status_code, answer.json()
        except (httpx.HTTPError, ValueError):
            return 0, None

    async def targets(self) -> list[dict[str, Any]]:
        """All targets as the admin API shows them; none while it does not answer."""
        status, answer = await self.ask("/api/clusters")
        return [] if status != 200 else [t for c in answer["clusters"] for t in c["targets"]]

    # -- waiting -----------------------------------------------------------------------------------

    async def wait_whole(self, deadline_s: float) -> None:
        """Until all processes are ready and all targets healthy; ChaosError otherwise."""
        missing = "not asked yet"
        try:
            async with asyncio.timeout(deadline_s):
                while missing:
                    if not psutil.pid_exists(self.pid):
                        raise ChaosError(f"the balancer ended, see {self.log}")
                    missing = await self._missing()
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise ChaosError(f"not whole within {deadline_s:g} s: {missing}") from error

    async def _missing(self) -> str:
        status, answer = await self.ask("/api/processes")
        if status != 200:
            return "the admin API does not answer"
        living = {p.pid for p in self.tree().get("dataplane", [])}
        ready = {p["pid"] for p in answer["processes"] if p["ready"]}
        if len(living) != self.processes or not living <= ready:
            return f"{len(living & ready)} of {self.processes} data-plane processes"
        targets = await self.targets()
        unwell = [t["id"] for t in targets if t["state"] != "healthy"]
        return ", ".join(unwell) or ("" if targets else "no targets")

    async def wait_pending_zero(self, deadline_s: float) -> int:
        """Until nothing is pending; returns what still is when the time is up."""
        pending = -1
        with suppress(TimeoutError):
            async with asyncio.timeout(deadline_s):
                while pending:
                    targets = await self.targets()
                    pending = sum(t["pending"] for t in targets) if targets else -1
                    await asyncio.sleep(LOOK_S)
        return pending

    # -- what is done to it ------------------------------------------------------------------------

    def write_config(self, config: dict[str, Any]) -> None:
        """Put a configuration where the supervisor reads it (JSON is YAML)."""
        self._file.write_text(json.dumps(config, indent=2))

    def reload(self) -> None:
        """SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    async def upgrade(self, deadline_s: float) -> None:
        """SIGUSR2, until a successor serves and the old one is gone. TimeoutError otherwise."""
        old = self.pid
        os.kill(old, signal.SIGUSR2)
        async with asyncio.timeout(deadline_s):
            while self.pid == old or _lives(old):  # noqa: ASYNC110 - another process: no event
                await asyncio.sleep(LOOK_S)

    async def _end(self) -> None:
        await self._client.aclose()
        if self._process is None:
            return
        tree: list[psutil.Process] = []
        with suppress(psutil.NoSuchProcess):
            supervisor = psutil.Process(self.pid)
            tree = [supervisor, *supervisor.children()]
            supervisor.terminate()
        await asyncio.to_thread(psutil.wait_procs, tree[:1], EXIT_S)
        for process in tree:
            with suppress(psutil.NoSuchProcess):  # psutil compares start times: never a reused id
                process.kill()
        if self._process.returncode is None:
            await self._process.wait()


def _lives(pid: int) -> bool:
    """Not gone, and not waiting to be collected either."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
