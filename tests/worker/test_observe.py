"""The handle of a request: pending, latency, header, whatever way the request ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.contract import LOAD_HEADER, METRIC_LATENCY_MS
from services.worker.cpu import CpuGauge
from services.worker.identity import Identity
from services.worker.load_report import FRESH_S, LoadReport
from services.worker.log import LineLog
from services.worker.observe import Observe

IDENTITY = Identity("i-1", "cluster1", "host", "10.0.0.1")


class Call:
    """One request to an ASGI app, without a server."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def receive(self) -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def make(self, app: ASGIApp, path: str = "/cluster1") -> None:
        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        await app(scope, self.receive, self.send)


def observed(app: ASGIApp, report: LoadReport) -> Observe:
    return Observe(
        app, report=report, identity=IDENTITY, log=None, log_uncounted=False, max_pending=10
    )


def responder(status: int) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    return app


@pytest.fixture
def report() -> LoadReport:
    return LoadReport(0.0, CpuGauge(None))


@pytest.mark.parametrize(
    ("status", "known"), [(200, True), (304, True), (404, False), (499, False), (500, False)]
)
async def test_failures_never_count_as_fast(report: LoadReport, status: int, known: bool) -> None:
    call = Call()
    await call.make(observed(responder(status), report))
    assert report.pending == 0
    late_s = 1e9  # whatever the clock of the run said, this is later
    assert (report._latency.median_s(-1.0, 0) is not None) is known
    assert report.as_dict(late_s)["pending"] == 0
    assert call.sent[0]["headers"][0][0] == LOAD_HEADER.encode()


async def test_an_error_of_the_app_ends_the_request(report: LoadReport) -> None:
    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        await Call().make(observed(failing, report))
    assert report.pending == 0


async def test_a_cancelled_request_ends_and_is_answered(report: LoadReport) -> None:
    began = asyncio.Event()

    async def hanging(_scope: Scope, _receive: Receive, _send: Send) -> None:
        began.set()
        await asyncio.get_running_loop().create_future()

    app, call = observed(hanging, report), Call()
    task = asyncio.create_task(call.make(app))
    await began.wait()
    assert report.pending == 1
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert (report.pending, app.cut) == (0, 1)
    assert call.sent[0]["status"] == 503


async def test_probes_do_not_count(report: LoadReport) -> None:
    for path in ("/", "/healthz", "/readyz", "/load"):
        await Call().make(observed(responder(200), report), path)
    assert report.total == 0


def test_the_header_renews_pending_at_once_and_the_rest_in_a_moment() -> None:
    report = LoadReport(0.0, CpuGauge(None))
    assert report.header(0.0) == b"TEXT named_metrics.pending=0, rps_fractional=0.00"
    met = report.begin(0.0)
    assert report.header(FRESH_S / 2).startswith(b"TEXT named_metrics.pending=1,")
    report.end(0.0, met, 0.25)
    assert METRIC_LATENCY_MS.encode() + b"=250.000" in report.header(FRESH_S)


def test_a_stalled_reader_costs_lines_and_nothing_else() -> None:
    reader, writer = os.pipe()
    log = LineLog(writer)
    line = "x" * 60_000  # two of them fill the pipe
    for _ in range(100):
        log.write(line)  # returns at once, though nobody reads
    assert log.dropped > 50
    os.close(reader)
    log.close()
    os.close(writer)


def test_lines_are_batched_and_flushed_at_the_end(tmp_path: Path) -> None:
    file = tmp_path / "log"
    fd = os.open(file, os.O_WRONLY | os.O_CREAT)
    log = LineLog(fd)
    timers: list[float] = []
    log.attach(lambda delay_s, _: timers.append(delay_s))
    log.write("one")
    log.write("two")
    assert len(timers) == 1
    log.detach()
    log.event("end", n=1)
    log.close()
    os.close(fd)
    lines = file.read_text().splitlines()
    assert lines[:2] == ["one", "two"]
    assert '"event": "end", "n": 1' in lines[2]
    assert not [thread for thread in threading.enumerate() if thread.name == "log"]
