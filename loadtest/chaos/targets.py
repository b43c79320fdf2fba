"""The targets as processes: started on fixed ports, killed, stopped, told how to answer."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from loadtest.chaos import target as program
from loadtest.chaos.target import Mode

START_S: Final = 10.0
STOP_S: Final = 10.0


class Targets:
    """`async with Targets(folder, ports) as targets:`; every process is gone after the block."""

    def __init__(self, folder: Path, ports: list[int]) -> None:
        self.ports = ports
        self._folder = folder
        self._processes: dict[int, asyncio.subprocess.Process] = {}
        self._starts = 0

    async def __aenter__(self) -> Self:
        try:
            for victim in range(len(self.ports)):
                await self.start(victim)
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

    async def start(self, victim: int) -> None:
        """Start it on its port, and wait until it listens. TimeoutError when it does not."""
        port = self.ports[victim]
        self._starts += 1
        log = self._folder / f"target-{victim}.log"
        self._processes[victim] = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", str(program.__file__), "--port", str(port)),
            *("--log", str(log), "--seed", str(self._starts)),
            stdin=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(START_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    return

    async def tell(self, victim: int, mode: Mode, *, health_too: bool = False) -> None:
        """How to answer from now on."""
        pipe = self._processes[victim].stdin
        if pipe is None:
            raise RuntimeError("a target without standard input")
        pipe.write(f"{mode.value}{' health' if health_too else ''}\n".encode())
        await pipe.drain()

    def signal(self, victim: int, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self._processes[victim].pid, number)

    async def wait_gone(self, victim: int) -> None:
        """Until the process has ended."""
        async with asyncio.timeout(STOP_S):
            await self._processes[victim].wait()

    def seen(self) -> Counter[str]:
        """How often each id reached any target, in all its lives."""
        ids: Counter[str] = Counter()
        for log in self._folder.glob("target-*.log"):
            ids.update(log.read_text().split())
        return ids

    async def _end(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()  # also ends one that is stopped
                await process.wait()
