"""The routes. Every answer but /metrics is JSON, errors too: `{"error": ..., ...}`."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException

from services.balancer.admin.metrics import LedgerCollector
from services.balancer.admin.peers import PeersCollector, peers_data
from services.balancer.admin.scoreboard import cluster_data, target_data
from services.balancer.admin.status import Status
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import Ledger, ProcessCell
from services.balancer.messages import ReloadResult
from services.balancer.peers.attend import Peers

MAX_WAIT_S: Final = 300.0
MAX_DEADLINE_S: Final = 86_400.0
MAX_WEIGHT: Final = 1_000
_LOOK_S: Final = 0.02  # between two looks at a draining target's pending count
_SETTLE_S: Final = 0.1  # a picture is with every data plane by then

_log = logging.getLogger(__name__)

Weight = Annotated[int, Query(ge=1, le=MAX_WEIGHT)]
DeadlineS = Annotated[float | None, Query(ge=0, le=MAX_DEADLINE_S)]
WaitS = Annotated[float, Query(ge=0, le=MAX_WAIT_S)]


def make_app(
    fleet: Fleet,
    ledger: Ledger,
    status: Status,
    reload: Callable[[], Awaitable[ReloadResult]],
    peers: Peers,
) -> FastAPI:
    """The admin API over what the control plane knows."""
    app = FastAPI(title="Steelyard admin API", docs_url=None, redoc_url=None)
    _translate_errors(app)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(LedgerCollector(fleet, ledger, status))
    registry.register(PeersCollector(peers))

    @app.middleware("http")
    async def _same_site(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """A web page of someone else may not make a browser drain targets."""
        origin = request.headers.get("origin")
        foreign = origin is not None and origin.partition("://")[2] != request.headers.get("host")
        if foreign and request.method != "GET":
            return JSONResponse({"error": "cross-origin request refused"}, 403)
        return await call_next(request)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        reasons = status.not_ready(fleet.first_round_done)
        if reasons:
            return JSONResponse({"status": "not ready", "reasons": reasons}, 503)
        return JSONResponse({"status": "ready"})

    @app.get("/api/clusters")
    async def clusters() -> dict[str, Any]:
        data = [cluster_data(fleet, ledger, cluster) for cluster in fleet.clusters.values()]
        return {"clusters": data}

    def unknown(target_id: str) -> JSONResponse:
        known = sorted(fleet.registry.members)
        return JSONResponse({"error": f"no target {target_id!r}", "targets": known[:1000]}, 404)

    async def set_drain(
        target_id: str, draining: bool, wait_s: float, deadline_s: float | None = None
    ) -> JSONResponse:
        if not fleet.drain(target_id, draining, deadline_s):
            return unknown(target_id)
        member = fleet.registry.members[target_id]
        if draining and wait_s > 0:
            await _wait_drained(ledger, member.slot, wait_s)
        data = target_data(member, ledger)
        return JSONResponse({"target": data, "drained": draining and data["pending"] == 0})

    @app.post("/api/targets/{target_id:path}/drain")
    async def drain(
        target_id: str, wait_s: WaitS = 0.0, deadline_s: DeadlineS = None
    ) -> JSONResponse:
        return await set_drain(target_id, True, wait_s, deadline_s)

    @app.post("/api/targets/{target_id:path}/undrain")
    async def undrain(target_id: str) -> JSONResponse:
        return await set_drain(target_id, False, 0.0)

    @app.post("/api/targets/{target_id:path}/weight")
    async def weigh(target_id: str, value: Weight) -> JSONResponse:
        if not fleet.registry.weigh(target_id, value):
            return unknown(target_id)
        return JSONResponse({"target": target_data(fleet.registry.members[target_id], ledger)})

    @app.get("/api/config")
    async def config() -> dict[str, Any]:
        effective = dataclasses.asdict(status.config) if status.config else None
        return {"version": status.config_version, "config": effective}

    @app.post("/api/reload")
    async def reload_config() -> JSONResponse:
        try:
            result = await reload()
        except TimeoutError:
            return JSONResponse({"error": "the supervisor does not answer"}, 504)
        data = {"version": result.version, "problems": result.problems}
        if result.problems:
            return JSONResponse({"error": "the configuration has problems", **data}, 422)
        return JSONResponse(data)

    @app.get("/api/processes")
    async def processes() -> dict[str, Any]:
        return {"processes": [_process(ledger, p) for p in status.processes or ()]}

    @app.get("/api/peers")
    async def other_balancers() -> dict[str, Any]:
        return peers_data(peers)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _process(ledger: Ledger, picture: Any) -> dict[str, Any]:
    cells = ledger.process(picture.row)
    counts = {cell.name.lower(): cells[cell] for cell in ProcessCell}
    return {
        "row": picture.row,
        "pid": picture.pid,
        "ready": picture.ready,
        "restarts": picture.restarts,
        **counts,
    }


async def _wait_drained(ledger: Ledger, slot: int, wait_s: float) -> None:
    """Until nothing is pending, or `wait_s` is over; first until the data planes have heard."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    await asyncio.sleep(min(_SETTLE_S, wait_s))
    while ledger.pending_total(slot) and loop.time() < deadline:  # noqa: ASYNC110 - other processes count
        await asyncio.sleep(_LOOK_S)


def _translate_errors(app: FastAPI) -> None:
    """Every error in the same form; a bug is logged and says no more than that."""

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail).lower()}, error.status_code)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        wrong = [f"{e['loc'][-1]}: {e['msg']}" for e in error.errors()]
        return JSONResponse({"error": "; ".join(wrong)}, 422)

    @app.exception_handler(Exception)
    async def _bug(request: Request, error: Exception) -> JSONResponse:
        _log.error("admin request failed", extra={"path": request.url.path}, exc_info=error)
        return JSONResponse({"error": "internal error"}, 500)
