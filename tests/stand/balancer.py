"""The balancer as real processes, on free ports, for tests."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.stand import proc
from tests.stand.proc import wait_until

FAST_HEALTH = {"interval_s": 0.1, "timeout_s": 0.5, "rise": 1, "fall": 2}


def free_ports(count: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> list[int]:
    """Ports that nobody listens on now, all different."""
    socks = [socket.socket(type=kind) for _ in range(count)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in socks]
    finally:
        for sock in socks:
            sock.close()


def cluster(name: str, addresses: Sequence[str], **settings: Any) -> dict[str, Any]:
    """One entry of `clusters:` with quick health checks."""
    return {
        "name": name,
        "targets": [{"static": list(addresses)}],
        "health": FAST_HEALTH,
    } | settings


class Balancer:
    """`async with Balancer(folder, clusters=[cluster("cluster1", [...])]) as balancer:`

    Every cluster gets a route of its name. The block begins when the admin API says ready and ends
    with SIGKILL for whatever still runs. `log` is the path of everything it said.
    """

    def __init__(
        self,
        folder: Path,
        clusters: Sequence[dict[str, Any]],
        *,
        processes: int = 1,
        env: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
        ready_s: float = 20.0,
        **settings: Any,
    ) -> None:
        self.port, self.admin = free_ports(2)
        self.config: dict[str, Any] = {
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "processes": processes,
            "clusters": list(clusters),
            "routes": [{"path": f"/{c['name']}", "cluster": c["name"]} for c in clusters],
        } | settings
        self.file = folder / "balancer.yaml"
        self.log = folder / "balancer.log"
        self._env = dict(os.environ) | dict(env or {})
        self._arguments = arguments
        self._followed: int | None = None
        self._ready_s = ready_s
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        try:
            await self.wait_ready(self._ready_s)
        except BaseException:  # a cancelled test, too, leaves no process behind
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    def write_config(self) -> None:
        """Write `config` to the file (JSON is YAML)."""
        self.file.write_text(json.dumps(self.config, indent=2))

    async def start(self) -> None:
        """Start the processes without waiting for anything."""
        self.write_config()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.balancer", "--config", str(self.file)),
                *self._arguments,
                stdout=log,
                stderr=log,
                env=self._env,
            )

    async def wait_ready(self, deadline_s: float = proc.PATIENCE_S) -> None:
        """Until /readyz says 200; AssertionError with the log otherwise."""
        try:
            async with asyncio.timeout(deadline_s):
                while (await self.api("/readyz"))[0] != 200:
                    if not proc.alive(self.pid):
                        raise AssertionError(f"the balancer ended:\n{self.said()}")
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise AssertionError(f"not ready after {deadline_s} s:\n{self.said()}") from error

    async def _end(self) -> None:
        left = [*self.pids, *([self._followed] if self._followed is not None else [])]
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        for pid in left:
            if proc.alive(pid):
                os.kill(pid, signal.SIGKILL)
        await wait_until(lambda: not any(map(proc.alive, left)), "the balancer's end")

    # -- what it is ------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        if self._followed is not None:
            return self._followed
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    @property
    def pids(self) -> dict[int, str]:
        """The children by process id, with their command lines."""
        return proc.children(self.pid) if self._process is not None else {}

    @property
    def dataplanes(self) -> list[int]:
        """Process ids of the data planes."""
        return [pid for pid, line in self.pids.items() if ".dataplane" in line]

    @property
    def control(self) -> int:
        """Process id of the control plane."""
        (pid,) = (pid for pid, line in self.pids.items() if ".control" in line)
        return pid

    def said(self) -> str:
        """Everything logged so far."""
        return self.log.read_text() if self.log.exists() else ""

    def events(self, event: str) -> list[dict[str, Any]]:
        """The log lines of one event."""
        lines = (json.loads(x) for x in self.said().splitlines() if x.startswith("{"))
        return [line for line in lines if line["event"] == event]

    def follow(self, pid: int) -> None:
        """After an upgrade the supervisor is another process, which is no child of ours."""
        self._followed = pid

    # -- what is done to it ------------------------------------------------------------------------

    def signal(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        os.kill(self.pid, number)

    async def wait_exit(self, deadline_s: float = proc.PATIENCE_S) -> int:
        """The supervisor's exit code."""
        if self._process is None:
            raise RuntimeError("not started")
        async with asyncio.timeout(deadline_s):
            return await self._process.wait()

    async def reload(self, deadline_s: float = proc.PATIENCE_S) -> None:
        """Write `config`, send SIGHUP, wait until the supervisor took or refused it."""
        self.write_config()

        def reloads() -> int:
            taken = self.events("configuration reloaded")
            return len(taken) + len(self.events("reload refused, the old configuration stays"))

        before = reloads()
        self.signal(signal.SIGHUP)
        await wait_until(lambda: reloads() > before, "the reload", deadline_s)

    async def api(self, path: str, method: str = "GET") -> tuple[int, Any]:
        """Ask the admin API: status and JSON (or text); status 0 when it cannot be reached."""
        return await asyncio.to_thread(_ask, f"http://127.0.0.1:{self.admin}{path}", method)

    async def targets(self) -> dict[str, dict[str, Any]]:
        """All targets of /api/clusters by id."""
        _, answer = await self.api("/api/clusters")
        return {t["id"]: t for c in answer["clusters"] for t in c["targets"]}

    async def wait_pending(self, pending: int = 0, deadline_s: float = proc.PATIENCE_S) -> None:
        """Until so many requests are pending over all targets, as the admin API shows it."""
        seen = -1
        try:
            async with asyncio.timeout(deadline_s):
                while seen != pending:
                    seen = sum(t["pending"] for t in (await self.targets()).values())
                    await asyncio.sleep(0.02)
        except TimeoutError as error:
            raise AssertionError(f"pending stays {seen}, not {pending}") from error


def _ask(url: str, method: str) -> tuple[int, Any]:
    request = urllib.request.Request(url, method=method)  # noqa: S310 - http to loopback
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310 - as above
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            status, text = error.code, error.read().decode()
    except OSError:
        return 0, None
    try:
        return status, json.loads(text)
    except ValueError:
        return status, text
