"""One worker's state, and its answers as plain bytes: what the routes and the shortcut share."""

from __future__ import annotations

import asyncio
import json
import random
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from starlette.types import Receive

from services.contract import CLUSTER_LARGE, CLUSTER_MICRO
from services.worker.faults import Faults
from services.worker.identity import Identity
from services.worker.load_report import LoadReport
from services.worker.log import LineLog
from services.worker.observe import CLIENT_GONE
from services.worker.settings import Settings
from services.worker.stress import Stress
from services.worker.work import Work, sampler

CPU_SAMPLE_INTERVAL_S: Final = 1.0


class Answer(NamedTuple):
    """A whole response; `body` is JSON."""

    status: int
    body: bytes


_IN_A_PATH: Final = re.compile(r"[\w.~-]+")  # and nothing that a router reads otherwise
_ALIVE: Final = Answer(200, b'{"status": "ok"}')
_READY: Final = Answer(200, b'{"status": "ready"}')
_DRAINING: Final = Answer(503, b'{"status": "draining"}')
_FAILING: Final = Answer(500, b'{"detail": "failing on purpose"}')
_NOBODY: Final = Answer(CLIENT_GONE, b"")  # the client has left; nothing is sent


def _clusters(own: str) -> tuple[str, ...]:
    """Whose paths are served: a worker may be asked as either of the usual two, and as its own."""
    known = (CLUSTER_MICRO, CLUSTER_LARGE)
    return known if own in known or not _IN_A_PATH.fullmatch(own) else (*known, own)


class Service:
    """Identity, load, work, seed and faults of this worker. `ready` is what /readyz says."""

    def __init__(
        self,
        *,
        settings: Settings,
        identity: Identity,
        report: LoadReport,
        work: Work,
        machine: str,
        log: LineLog,
        ready: Callable[[], bool],
    ) -> None:
        self.settings = settings
        self.identity = identity
        self.work = work
        self.stress = Stress(work, settings.stress_max_workers)
        self.faults = Faults()
        self.seed = "0"
        who = self._who = identity.as_dict()
        self.who = Answer(200, json.dumps({"status": "ok", **who}).encode())
        self.clusters = _clusters(identity.cluster)
        self._served = Answer(
            200, json.dumps({**who, "work_mode": settings.work_mode, "machine": machine}).encode()
        )
        self._report = report
        self._log = log
        self._ready = ready
        self._draw = sampler(settings.work_dist, settings.work_seed)
        self._fault_rng = random.Random(settings.work_seed)

    async def serve(self, receive: Receive, work_ms: float | None = None) -> Answer:
        """Do a request's work (its mean in ms; None: as configured), then say who did it."""
        faults = self.faults
        if faults.fail and self._fault_rng.random() < faults.fail:
            return _FAILING
        if faults.hang:
            await _until_gone(receive)
            return _NOBODY
        mean_ms = self.settings.work_ms if work_ms is None else work_ms
        if mean_ms > 0:
            work = self.work.start(self._draw(mean_ms) / 1000)
            if not await _done_before_gone(receive, work):
                return _NOBODY
        return self._served

    def set_seed(self, num: int) -> Answer:
        """Set the seed value of this instance."""
        self.seed = str(num)
        return self._served

    def set_faults(self, faults: Faults) -> None:
        """Misbehave like this from now on."""
        self.faults = faults
        self.work.slow(faults.speed)

    def health(self) -> Answer:
        """The process lives."""
        return _ALIVE

    def readiness(self) -> Answer:
        """It wants traffic, or not."""
        return _READY if self._ready() else _DRAINING

    def load(self) -> Answer:
        """The load report, as JSON."""
        report = {**self._who, **self._report.as_dict(time.monotonic())}
        return Answer(200, json.dumps(report).encode())

    async def sample_cpu(self) -> None:
        """Keep the CPU gauge fresh. Ends by cancellation, or when the source is gone."""
        while True:
            try:
                self._report.cpu.sample(time.monotonic())
            except (OSError, ValueError) as error:
                self._log.event("cpu source lost", level="warning", error=str(error))
                return
            await asyncio.sleep(CPU_SAMPLE_INTERVAL_S)

    async def close(self) -> None:
        """Stop stress and give up all work."""
        await self.stress.close()
        self.work.close()


async def _until_gone(receive: Receive) -> None:
    """Read and forget the body, then wait until the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _done_before_gone(receive: Receive, work: asyncio.Future[None]) -> bool:
    """Wait for the work; give it up and return False when the client leaves first.

    Errors: a body over its limit is raised as HTTPException 413, as everywhere.
    """
    gone = asyncio.ensure_future(_until_gone(receive))
    gone.add_done_callback(lambda _: work.cancel())
    try:
        await work
    except asyncio.CancelledError:
        if not gone.done():
            raise  # it is this request that was cancelled
        gone.result()
        return False
    finally:
        gone.cancel()
        work.cancel()
    return True
