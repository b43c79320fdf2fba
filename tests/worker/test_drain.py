"""SIGTERM and Ctrl-C: the table, and real workers that end."""

from __future__ import annotations

import contextlib
import signal
import time

import pytest

from services.worker.drain import Cause, Drain, Phase
from tests.worker.conftest import StartWorker, wait_until


@pytest.mark.parametrize(
    ("causes", "phase"),
    [
        ([Cause.TERM], Phase.NOTICE),
        ([Cause.INT], Phase.STOPPING),
        ([Cause.TERM, Cause.NOTICE_OVER], Phase.STOPPING),
        ([Cause.TERM, Cause.TERM], Phase.STOPPING),
        ([Cause.TERM, Cause.TERM, Cause.NOTICE_OVER], Phase.STOPPING),
        ([Cause.TERM, Cause.INT, Cause.INT], Phase.FORCED),
        ([Cause.INT, Cause.INT, Cause.TERM], Phase.FORCED),
        ([Cause.LEAVE, Cause.LEAVE], Phase.AWAY),
        ([Cause.LEAVE, Cause.TERM, Cause.RETURN], Phase.NOTICE),
        ([Cause.LEAVE, Cause.INT], Phase.STOPPING),
        ([Cause.TERM, Cause.LEAVE, Cause.RETURN], Phase.NOTICE),
    ],
)
def test_phases(causes: list[Cause], phase: Phase) -> None:
    entered: list[Phase] = []
    drain = Drain(lambda phase, _: entered.append(phase))
    assert drain.ready
    for cause in causes:
        drain.move(cause)
    assert drain.phase is entered[-1] is phase
    assert not drain.ready


def test_sigterm_gives_notice_then_finishes_what_is_pending(start_worker: StartWorker) -> None:
    worker = start_worker(DRAIN_NOTICE_S="1", WORK_MODE="model")
    with contextlib.closing(worker.connect()) as pending:
        pending.request("GET", "/cluster1?work_ms=1500")
        wait_until(lambda: worker.get("/load").json()["pending"] == 1)
        began_s = time.monotonic()
        worker.process.send_signal(signal.SIGTERM)
        wait_until(lambda: worker.get("/readyz").status == 503, 0.9)
        during = worker.get("/cluster1")  # a new connection, too, is served during the notice
        assert during.status == 200
        assert "connection" not in during.headers
        assert worker.get("/healthz").status == 200
        assert pending.getresponse().status == 200
        assert worker.process.wait(10) == 0
        assert time.monotonic() - began_s >= 1
        wait_until(lambda: bool(worker.events("stopped")))
        assert worker.events("stopped")[0]["cut"] == 0


def test_away_serves_on_and_comes_back(start_worker: StartWorker) -> None:
    worker = start_worker(WORK_MODE="model")
    with contextlib.closing(worker.connect()) as pending:
        pending.request("GET", "/cluster1?work_ms=500")
        wait_until(lambda: worker.get("/load").json()["pending"] == 1)
        for _ in range(2):  # twice is once
            worker.process.send_signal(signal.SIGUSR1)
        wait_until(lambda: worker.get("/readyz").status == 503)
        assert worker.get("/cluster1").status == 200
        assert pending.getresponse().status == 200
    wait_until(lambda: worker.get("/load").json()["pending"] == 0)
    worker.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: worker.get("/readyz").status == 200)
    worker.process.send_signal(signal.SIGUSR1)
    wait_until(lambda: worker.get("/readyz").status == 503)
    assert worker.stop(signal.SIGTERM) == 0
    wait_until(lambda: bool(worker.events("stopped")))
    causes = [(line["event"], line["cause"]) for line in worker.lines if "cause" in line]
    assert causes[:4] == [
        ("away", "SIGUSR1"),
        ("serving", "SIGUSR2"),
        ("away", "SIGUSR1"),
        ("notice", "SIGTERM"),
    ]


def test_requests_that_outlive_the_grace_time_are_answered_503(start_worker: StartWorker) -> None:
    worker = start_worker(GRACE_S="1", WORK_MODE="model")
    with contextlib.closing(worker.connect()) as pending:
        pending.request("GET", "/cluster1?work_ms=60000")
        wait_until(lambda: worker.get("/load").json()["pending"] == 1)
        worker.process.send_signal(signal.SIGTERM)
        assert pending.getresponse().status == 503
        assert worker.process.wait(10) == 0
        wait_until(lambda: bool(worker.events("stopped")))
        assert worker.events("stopped")[0]["cut"] == 1
        assert not [line for line in worker.lines if "traceback" in line]


def test_a_second_sigterm_hurries(start_worker: StartWorker) -> None:
    worker = start_worker(DRAIN_NOTICE_S="600", GRACE_S="1000")
    worker.process.send_signal(signal.SIGTERM)
    wait_until(lambda: worker.get("/readyz").status == 503)
    assert worker.stop(signal.SIGTERM) == 0


def test_ctrl_c_ends_at_once(start_worker: StartWorker) -> None:
    worker = start_worker(DRAIN_NOTICE_S="600", GRACE_S="1000", WORK_MODE="model")
    with contextlib.closing(worker.connect()) as pending:
        pending.request("GET", "/cluster1?work_ms=60000")
        wait_until(lambda: worker.get("/load").json()["pending"] == 1)
        began_s = time.monotonic()
        assert worker.stop(signal.SIGINT) == 0
        assert time.monotonic() - began_s < 15  # not the 1000 s of grace
