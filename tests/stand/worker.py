"""`python -m services.worker` as a real process on a free port, for tests."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from services import contract
from tests.stand.balancer import free_ports
from tests.stand.client import Client
from tests.stand.proc import PATIENCE_S


class Worker:
    """`async with Worker(folder, cluster="cluster1") as worker:`; ready when the block begins."""

    def __init__(
        self, folder: Path, cluster: str = "cluster1", env: Mapping[str, str] | None = None
    ) -> None:
        (self.port,) = free_ports(1)
        self._log = folder / f"worker-{self.port}.log"
        self._env = (
            dict(os.environ)
            | {
                contract.ENV_CLUSTER_NAME: cluster,
                contract.ENV_INSTANCE_ID: f"worker-{self.port}",
            }
            | dict(env or {})
        )
        self._process: asyncio.subprocess.Process | None = None

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "services.worker"),
                *("--host", "127.0.0.1", "--port", str(self.port)),
                stdout=log,
                stderr=log,
                env=self._env,
            )
        async with asyncio.timeout(PATIENCE_S):
            while not await self._ready():
                if self._process.returncode is not None:
                    raise AssertionError(f"the worker ended:\n{self._log.read_text()}")
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def _ready(self) -> bool:
        try:
            async with await Client.connect(self.port) as client:
                return (await client.get(contract.READY_PATH)).status == 200
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        if self._process is not None:
            self._process.send_signal(number)

    async def wait_exit(self, deadline_s: float = PATIENCE_S) -> int:
        """Its exit code."""
        if self._process is None:
            raise RuntimeError("not started")
        async with asyncio.timeout(deadline_s):
            return await self._process.wait()
