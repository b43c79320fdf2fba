"""CPU burnt on demand: processes of their own, counted, bounded, and never left behind."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time

from services.worker.work import Work


class StressFullError(Exception):
    """As much stress as is allowed runs already; `retry_after_s` says when some will have ended."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"at the limit of stress; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


class Stress:
    """At most `max_workers` burning processes at a time.

    On a modelled machine the stress is modelled, too: endless jobs, no process.
    Resource handling: `close` kills and reaps what still runs; a worker that is killed takes its
    processes with it, because each watches its parent.
    """

    def __init__(self, work: Work, max_workers: int) -> None:
        self._work = work
        self._max_workers = max_workers
        self._running: dict[asyncio.Task[None], tuple[int, float]] = {}  # workers, end

    @property
    def workers(self) -> int:
        """Burning now."""
        return sum(workers for workers, _ in self._running.values())

    def start(self, seconds: float, workers: int) -> None:
        """Begin in the background. Raises StressFullError above the limit."""
        now_s = time.monotonic()
        if self.workers + workers > self._max_workers:
            first_end_s = min((end_s for _, end_s in self._running.values()), default=now_s)
            raise StressFullError(max(math.ceil(first_end_s - now_s), 1))
        modelled = self._work.load(seconds, workers)
        task = asyncio.create_task(asyncio.sleep(seconds) if modelled else _burn(seconds, workers))
        self._running[task] = (workers, now_s + seconds)
        task.add_done_callback(self._running.pop)

    async def close(self) -> None:
        """Kill what still runs."""
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _burn(seconds: float, workers: int) -> None:
    processes: list[asyncio.subprocess.Process] = []
    try:
        for _ in range(workers):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "services.worker.burn",
                str(seconds),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
            processes.append(process)
        for process in processes:
            await process.wait()
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
        for process in processes:
            await process.wait()
