"""The routes. Who I am, the sample apps (seed, stress, address), health, and the load report.

The sample routes exist at the root and below the path of each cluster that the worker may be asked
as, so that they can be reached through a balancer that routes by path: `/seed` here is
`/cluster1/seed` there.
"""

# No postponed annotations here: FastAPI must see the bounds that come from the settings.

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Body, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from services.contract import HEALTH_PATH, LOAD_PATH, READY_PATH
from services.worker.faults import Faults
from services.worker.service import Answer, Service
from services.worker.settings import MAX_WORK_MS
from services.worker.stress import StressFullError

WorkMs = Annotated[float | None, Query(ge=0, le=MAX_WORK_MS)]


class Seed(BaseModel):
    """The value that POST /seed sets."""

    model_config = ConfigDict(extra="forbid")
    num: int = Field(ge=-(2**63), lt=2**63)


def make_app(service: Service) -> FastAPI:
    """Return the application. Its lifespan keeps the CPU gauge fresh and ends all work."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        sampling = asyncio.create_task(service.sample_cpu())
        try:
            yield
        finally:
            sampling.cancel()
            await service.close()

    app = FastAPI(
        title="Steelyard worker",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    # The hottest first: the router tries them in this order.
    for cluster in service.clusters:
        _add_cluster_routes(app, service, f"/{cluster}")
    _add_health_routes(app, service)
    for prefix in ("", *(f"/{cluster}" for cluster in service.clusters)):
        _add_sample_routes(app, service, prefix)
    if service.settings.enable_faults == "1":
        _add_fault_routes(app, service)
    return app


def _response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, media_type="application/json")


def _add_cluster_routes(app: FastAPI, service: Service, path: str) -> None:
    @app.api_route(path, methods=["GET", "HEAD"])
    async def serve(request: Request, work_ms: WorkMs = None) -> Response:
        return _response(await service.serve(request.receive, work_ms))

    @app.post(path)
    async def serve_body(request: Request, work_ms: WorkMs = None) -> Response:
        async for _ in request.stream():
            pass  # counted by the body limit, kept by nobody
        return _response(await service.serve(request.receive, work_ms))


def _add_health_routes(app: FastAPI, service: Service) -> None:
    @app.api_route("/", methods=["GET", "HEAD"])
    async def who() -> Response:
        return _response(service.who)

    @app.api_route(HEALTH_PATH, methods=["GET", "HEAD"])
    async def health() -> Response:
        return _response(service.health())

    @app.api_route(READY_PATH, methods=["GET", "HEAD"])
    async def readiness() -> Response:
        return _response(service.readiness())

    @app.api_route(LOAD_PATH, methods=["GET", "HEAD"])
    async def load() -> Response:
        return _response(service.load())


def _add_sample_routes(app: FastAPI, service: Service, prefix: str) -> None:
    settings, identity = service.settings, service.identity

    @app.post(f"{prefix}/seed")
    async def set_seed(seed: Seed) -> Response:
        return _response(service.set_seed(seed.num))

    @app.get(f"{prefix}/seed")
    async def get_seed() -> Response:
        return PlainTextResponse(service.seed)

    @app.post(f"{prefix}/stress")
    async def stress(
        seconds: Annotated[float, Body(gt=0, le=settings.stress_max_s)] = 5.0,
        workers: Annotated[int, Body(ge=1, le=settings.stress_max_workers)] = 1,
    ) -> Response:
        try:
            service.stress.start(seconds, workers)
        except StressFullError as error:
            retry = {"retry-after": str(error.retry_after_s)}
            raise HTTPException(429, str(error), retry) from error
        return JSONResponse({**identity.as_dict(), "seconds": seconds, "workers": workers}, 202)

    @app.get(f"{prefix}/ip")
    async def private_ip() -> Response:
        return PlainTextResponse(identity.private_ip)


def _add_fault_routes(app: FastAPI, service: Service) -> None:
    @app.get("/faults")
    async def get_faults() -> Faults:
        return service.faults

    @app.post("/faults")
    async def set_faults(faults: Faults) -> Faults:
        service.set_faults(faults)
        return faults
