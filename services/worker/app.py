"""The routes. Who I am, the sample apps (seed, stress, address), health, and the load report.

The sample routes exist at the root and below each cluster's path, so that they can be reached
through a balancer that routes by path: `/seed` here is `/cluster1/seed` there.
"""

# No postponed annotations here: FastAPI must see the bounds that come from the settings.

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Final

from fastapi import APIRouter, Body, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from services.contract import CLUSTER_LARGE, CLUSTER_MICRO, HEALTH_PATH, LOAD_PATH, READY_PATH
from services.worker.faults import Faults
from services.worker.identity import Identity
from services.worker.load_report import LoadReport
from services.worker.log import LineLog
from services.worker.observe import CLIENT_GONE
from services.worker.settings import MAX_WORK_MS, Settings
from services.worker.stress import Stress, StressFullError
from services.worker.work import Work, sampler

CPU_SAMPLE_INTERVAL_S: Final = 1.0
JSON: Final = "application/json"


class Seed(BaseModel):
    """The value that POST /seed sets."""

    model_config = ConfigDict(extra="forbid")
    num: int = Field(ge=-(2**63), lt=2**63)


class Service:
    """What the routes share: one worker's identity, load, work, seed and faults."""

    def __init__(
        self,
        *,
        settings: Settings,
        identity: Identity,
        report: LoadReport,
        work: Work,
        machine: str,
        log: LineLog,
    ) -> None:
        self.settings = settings
        self.identity = identity
        self.report = report
        self.work = work
        self.log = log
        self.stress = Stress(work, settings.stress_max_workers)
        self.faults = Faults()
        self.seed = "0"
        self.answer = json.dumps(
            {**identity.as_dict(), "work_mode": settings.work_mode, "machine": machine}
        ).encode()
        self.draw = sampler(settings.work_dist, settings.work_seed)
        self.fault_rng = random.Random(settings.work_seed)

    async def serve(self, request: Request, mean_work_ms: float) -> Response:
        """Do the request's work and answer with who did it."""
        faults = self.faults
        if faults.fail and self.fault_rng.random() < faults.fail:
            return JSONResponse({"detail": "failing on purpose"}, 500)
        if faults.hang:
            await _until_gone(request)
            return Response(status_code=CLIENT_GONE)
        if mean_work_ms > 0:
            future = self.work.start(self.draw(mean_work_ms) / 1000)
            if not await _done_or_gone(request, future):
                return Response(status_code=CLIENT_GONE)
        return Response(self.answer, media_type=JSON)

    async def sample_cpu(self) -> None:
        """Keep the CPU gauge fresh. Ends by cancellation, or when the source is gone."""
        while True:
            try:
                self.report.cpu.sample(time.monotonic())
            except (OSError, ValueError) as error:
                self.log.event("cpu source lost", source=self.report.cpu.source, error=str(error))
                return
            await asyncio.sleep(CPU_SAMPLE_INTERVAL_S)


async def _until_gone(request: Request) -> None:
    """Read and forget the body, then wait until the client leaves."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _done_or_gone(request: Request, work: asyncio.Future[None]) -> bool:
    """Wait for the work; give it up and return False when the client leaves first."""
    gone = asyncio.ensure_future(_until_gone(request))
    try:
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            gone.result()  # a body over its limit is raised here
            return False
        work.result()
        return True
    finally:
        work.cancel()
        gone.cancel()


def make_app(service: Service, ready: Callable[[], bool]) -> FastAPI:
    """Return the application; `ready` is what /readyz says."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sampling = asyncio.create_task(service.sample_cpu())
        try:
            yield
        finally:
            sampling.cancel()
            await service.stress.close()
            service.work.close()

    app = FastAPI(
        title="Steelyard worker",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    app.include_router(_health_routes(service, ready))
    samples = _sample_routes(service)
    app.include_router(samples)
    for cluster in (CLUSTER_MICRO, CLUSTER_LARGE):
        app.include_router(samples, prefix=f"/{cluster}")
        app.include_router(_cluster_route(service, f"/{cluster}"))
    if service.settings.enable_faults == "1":
        app.include_router(_fault_routes(service))
    return app


def _cluster_route(service: Service, path: str) -> APIRouter:
    router = APIRouter()
    default_ms = service.settings.work_ms

    @router.api_route(path, methods=["GET", "HEAD"])
    async def answer(
        request: Request, work_ms: Annotated[float | None, Query(ge=0, le=MAX_WORK_MS)] = None
    ) -> Response:
        return await service.serve(request, default_ms if work_ms is None else work_ms)

    @router.post(path)
    async def answer_to_body(
        request: Request, work_ms: Annotated[float | None, Query(ge=0, le=MAX_WORK_MS)] = None
    ) -> Response:
        async for _ in request.stream():
            pass  # counted by the body limit, kept by nobody
        return await service.serve(request, default_ms if work_ms is None else work_ms)

    return router


def _sample_routes(service: Service) -> APIRouter:
    router = APIRouter()
    settings, identity = service.settings, service.identity

    @router.post("/seed")
    async def set_seed(seed: Seed) -> Response:
        service.seed = str(seed.num)
        return Response(service.answer, media_type=JSON)

    @router.get("/seed")
    async def get_seed() -> PlainTextResponse:
        return PlainTextResponse(service.seed)

    @router.post("/stress")
    async def stress(
        seconds: Annotated[float, Body(gt=0, le=settings.stress_max_s)] = 5.0,
        workers: Annotated[int, Body(ge=1, le=settings.stress_max_workers)] = 1,
    ) -> JSONResponse:
        try:
            service.stress.start(seconds, workers)
        except StressFullError as error:
            retry = {"retry-after": str(error.retry_after_s)}
            raise HTTPException(429, str(error), retry) from error
        return JSONResponse({**identity.as_dict(), "seconds": seconds, "workers": workers}, 202)

    @router.get("/ip")
    async def private_ip() -> PlainTextResponse:
        return PlainTextResponse(identity.private_ip)

    return router


def _health_routes(service: Service, ready: Callable[[], bool]) -> APIRouter:
    router = APIRouter()

    @router.api_route("/", methods=["GET", "HEAD"])
    async def who() -> JSONResponse:
        return JSONResponse({"status": "ok", **service.identity.as_dict()})

    @router.api_route(HEALTH_PATH, methods=["GET", "HEAD"])
    async def alive() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @router.api_route(READY_PATH, methods=["GET", "HEAD"])
    async def wants_traffic() -> JSONResponse:
        if ready():
            return JSONResponse({"status": "ready"})
        return JSONResponse({"status": "draining"}, 503)

    @router.get(LOAD_PATH)
    async def load() -> JSONResponse:
        return JSONResponse(service.report.as_dict(time.monotonic()))

    return router


def _fault_routes(service: Service) -> APIRouter:
    router = APIRouter()

    @router.get("/faults")
    async def get_faults() -> Faults:
        return service.faults

    @router.post("/faults")
    async def set_faults(faults: Faults) -> Faults:
        service.faults = faults
        service.work.slow(faults.speed)
        return faults

    return router
