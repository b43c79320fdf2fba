"""What a request costs: nothing, real CPU, or a job on the modelled machine.

Real CPU is burnt in threads that hash large blocks, which hashlib does with the interpreter lock
released: the event loop goes on answering while every core is busy, without a process pool.
The modelled machine costs a heap operation and a timer.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

from services.worker.machine import Machine
from services.worker.settings import WorkDistribution

BLOCK: Final = bytes(256 << 10)  # some 0.2 ms a hash: short enough to stop in time
LOGNORMAL_CV1_SIGMA: Final = math.sqrt(math.log(2))  # coefficient of variation 1


class Work(Protocol):
    """Does `demand_s` seconds of work (of one vCPU at speed 1) for one request."""

    def start(self, demand_s: float) -> asyncio.Future[None]:
        """Begin; the future ends when the work is done. Cancelling it gives the work up."""

    def slow(self, speed: float) -> None:
        """Run at `speed` times the normal speed from now on (an experiment's antagonist)."""

    def load(self, seconds: float, workers: int) -> bool:
        """Add `workers` endless jobs for `seconds`; False when that is no business of a model."""

    def close(self) -> None:
        """Give up what is still being done."""


def sampler(distribution: WorkDistribution, seed: int) -> Callable[[float], float]:
    """Return a function from a mean to one draw around it; the same draws for the same seed."""
    rng = random.Random(seed)
    if distribution == "exponential":
        return lambda mean: rng.expovariate(1 / mean)
    if distribution == "lognormal":
        mu = -(LOGNORMAL_CV1_SIGMA**2) / 2  # makes the mean 1
        return lambda mean: mean * rng.lognormvariate(mu, LOGNORMAL_CV1_SIGMA)
    return lambda mean: mean


class RealWork:
    """Burns CPU time in at most `threads` threads; what is more waits in turn."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")
        self._speed = 1.0
        self._closed = False

    def start(self, demand_s: float) -> asyncio.Future[None]:
        """Begin to burn `demand_s` seconds of CPU time."""
        job = _Burn(demand_s / self._speed, lambda: self._closed)
        future = asyncio.wrap_future(self._pool.submit(job.run))
        future.add_done_callback(job.stop)
        return future

    def slow(self, speed: float) -> None:
        """Requests from now on need 1/`speed` times the CPU time."""
        self._speed = speed

    def load(self, seconds: float, workers: int) -> bool:
        """Real stress needs processes of its own."""
        return False

    def close(self) -> None:
        """Stop every thread at its next block."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)


class _Burn:
    """One job in a thread, which looks at a flag between blocks."""

    __slots__ = ("_closed", "_demand_s", "_stopped")

    def __init__(self, demand_s: float, closed: Callable[[], bool]) -> None:
        self._demand_s = demand_s
        self._closed = closed
        self._stopped = False

    def stop(self, _future: object) -> None:
        self._stopped = True

    def run(self) -> None:
        end_s = time.thread_time() + self._demand_s
        while time.thread_time() < end_s and not self._stopped and not self._closed():
            hashlib.sha256(BLOCK)


class ModelledWork:
    """Requests as jobs on a modelled machine: one heap, one timer."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at_s = math.inf

    def start(self, demand_s: float) -> asyncio.Future[None]:
        """Put a job on the machine."""
        now_s = time.monotonic()
        self._finish(now_s)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        job = self._machine.arrive(now_s, demand_s)
        self._waiting[job] = future
        future.add_done_callback(lambda ended: self._give_up(job) if ended.cancelled() else None)
        self._set_timer(now_s)
        return future

    def slow(self, speed: float) -> None:
        """Change the machine's speed; jobs in progress go on at the new one."""
        now_s = time.monotonic()
        self._finish(now_s)
        self._machine.set_factor(now_s, speed)
        self._set_timer(now_s)

    def load(self, seconds: float, workers: int) -> bool:
        """Put `workers` endless jobs on the machine and take them off after `seconds`."""
        for _ in range(workers):
            asyncio.get_running_loop().call_later(seconds, self.start(math.inf).cancel)
        return True

    def close(self) -> None:
        """Cancel all jobs."""
        for future in list(self._waiting.values()):
            future.cancel()
        if self._timer is not None:
            self._timer.cancel()

    def _give_up(self, job: int) -> None:
        if self._waiting.pop(job, None) is not None:
            now_s = time.monotonic()
            self._finish(now_s)
            self._machine.leave(now_s, job)
            self._set_timer(now_s)

    def _finish(self, now_s: float) -> None:
        for job in self._machine.advance(now_s):
            future = self._waiting.pop(job, None)
            if future is not None and not future.done():
                future.set_result(None)

    def _set_timer(self, now_s: float) -> None:
        """Wake up at the machine's next event; a timer that fires too early sets the next."""
        event_s = self._machine.next_event_s()
        if event_s >= self._timer_at_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        # uvloop counts in whole milliseconds; rounding down would spin until the event.
        delay_s = math.ceil(max(event_s - now_s, 0.0) * 1000) / 1000
        self._timer_at_s = event_s
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_at_s = None, math.inf
        now_s = time.monotonic()
        self._finish(now_s)
        self._set_timer(now_s)
