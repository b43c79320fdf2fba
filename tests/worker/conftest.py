"""Real workers as processes, and a small blocking client."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol

import pytest

DEADLINE_S = 20.0
ROOT = Path(__file__).parents[2]


def wait_until(condition: Callable[[], bool], deadline_s: float = DEADLINE_S) -> None:
    """Poll `condition` until it holds; fail after the deadline."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, "the condition was not met in time"
        time.sleep(0.01)  # another process sets no event of ours


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class WorkerProcess:
    """One `python -m services.worker` on a free port of the loopback."""

    process: subprocess.Popen[str]
    port: int
    lines: list[dict[str, Any]] = field(default_factory=list)
    reader: threading.Thread | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = self.connect()
        try:
            if body is not None and not isinstance(body, bytes):
                body = json.dumps(body).encode()
                headers = {"content-type": "application/json", **(headers or {})}
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, names, answer.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in list(self.lines) if line["event"] == name]

    def stop(self, *signals: signal.Signals) -> int:
        for number in signals:
            self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


class StartWorker(Protocol):
    def __call__(self, **environ: str) -> WorkerProcess: ...


def _start(environ: dict[str, str]) -> WorkerProcess:
    inherited = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.worker", "--port", "0"],
        cwd=ROOT,
        env={**inherited, "IMDS": "0", "DRAIN_NOTICE_S": "0", **environ},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    assert first, "the worker ended before it listened"
    worker = WorkerProcess(process, json.loads(first)["port"], [json.loads(first)])

    worker.reader = threading.Thread(target=_collect, args=(process.stdout, worker.lines))
    worker.reader.start()
    wait_until(lambda: worker.get("/healthz").status == 200)
    return worker


def _collect(output: IO[str], lines: list[dict[str, Any]]) -> None:
    with output:
        lines.extend(json.loads(line) for line in output)


def _end(worker: WorkerProcess) -> None:
    if worker.process.poll() is None:
        worker.process.kill()
    worker.process.wait()
    if worker.reader is not None:
        worker.reader.join()


@pytest.fixture
def start_worker() -> Iterator[StartWorker]:
    """Start workers; whatever is left of them is killed after the test."""
    started: list[WorkerProcess] = []

    def start(**environ: str) -> WorkerProcess:
        started.append(_start(environ))
        return started[-1]

    yield start
    for worker in started:
        _end(worker)


@pytest.fixture(scope="session")
def worker() -> Iterator[WorkerProcess]:
    """One worker that tests share, as long as they leave it as it was."""
    shared = _start(
        {
            "INSTANCE_ID": "i-test",
            "CLUSTER_NAME": "cluster1",
            "PRIVATE_IP": "10.0.0.9",
            "MAX_BODY_BYTES": "100000",
            "MAX_HEAD_BYTES": "20000",
            "HEAD_TIMEOUT_S": "1",
            "ENABLE_FAULTS": "1",
            "STRESS_MAX_WORKERS": "2",
            "WORK_MODE": "model",
            "MACHINE": "t2.large",
            "LOG_REQUESTS": "1",
        }
    )
    yield shared
    _end(shared)
