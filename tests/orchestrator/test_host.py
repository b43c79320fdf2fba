"""The host's watch as a real process: a metadata service on loopback, a real worker, and `docker`
and `aws` that write down what they are asked and do to the worker what Docker would.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from orchestrator.deploy.host import host_files
from services.contract import HOOK_TERMINATING
from tests.worker.conftest import StartWorker, WorkerProcess, start_worker, wait_until

__all__ = ["start_worker"]  # a fixture

SCRIPT = Path(sys.modules[host_files.__module__].__file__ or "").with_name("drain.sh")
GROUP = "steelyard-demo-cluster1"
DOCKER = """\
#!/bin/bash
echo "docker $*" >>"$CALLS"
case $1 in
  kill) kill -USR1 "$WORKER_PID" ;;
  inspect) if kill -0 "$WORKER_PID" 2>/dev/null; then echo true; else echo false; fi ;;
  stop) kill -TERM "$WORKER_PID" ;;
esac
"""
AWS = """\
#!/bin/bash
echo "aws $*" >>"$CALLS"
[ -s "$AWS_SAYS" ] || exit 0
head -n 1 "$AWS_SAYS" >&2
sed -i 1d "$AWS_SAYS"
exit 254
"""


class Metadata(BaseHTTPRequestHandler):
    """IMDSv2: answers only who has a token of now."""

    server: ImdsServer
    known: ClassVar[set[str]] = set()

    def do_PUT(self) -> None:
        if self.server.out:
            self._say(503, "")
        else:
            self.server.tokens += 1
            self._say(200, f"token-{self.server.tokens}")

    def do_GET(self) -> None:
        self.server.asked.append(time.monotonic())
        if self.server.out:
            self._say(503, "")
        elif self.headers["x-aws-ec2-metadata-token"] != f"token-{self.server.tokens}":
            self._say(401, "")
        else:
            text = self.server.data.get(self.path.removeprefix("/latest/meta-data/"))
            self._say(404 if text is None else 200, text or "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


class ImdsServer(ThreadingHTTPServer):
    """What the metadata service knows of one instance."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Metadata)
        self.data = {"instance-id": "i-1", "autoscaling/target-lifecycle-state": "InService"}
        self.asked: list[float] = []
        self.tokens = 0
        self.out = False


@dataclass
class Host:
    """A machine: its metadata, its container, its watch."""

    folder: Path
    imds: ImdsServer
    worker: WorkerProcess
    process: subprocess.Popen[str] | None = None
    lines: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    def watch(self, role: Any = "worker", group: str | None = GROUP, **changed: str) -> None:
        """Start drain.sh as its unit does, sooner than on EC2."""
        files = host_files(role=role, region="eu-west-1", group=group)
        settings = dict(line.split("=", 1) for line in files["drain.env"].splitlines())
        settings |= {"NOTICE_S": "1", "POLL_S": "0.1", "RETRY_S": "0.1"}
        settings["LOAD"] = f"http://127.0.0.1:{self.worker.port}/load"
        self.process = subprocess.Popen(
            ["bash", SCRIPT],
            env={
                **settings,
                "PATH": f"{self.folder}:{os.environ['PATH']}",
                "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://127.0.0.1:{self.imds.server_port}",
                "CALLS": str(self.folder / "calls"),
                "AWS_SAYS": str(self.folder / "aws-says"),
                "WORKER_PID": str(self.worker.pid),
                **changed,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that what it started ends with it
        )
        self.reader = threading.Thread(target=self._read, args=(self.process,))
        self.reader.start()
        if not self.imds.out:
            wait_until(lambda: self.told("watching i-1"))

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            self.lines.extend(process.stdout)

    def told(self, text: str) -> bool:
        return any(text in line for line in list(self.lines))

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def actions(self, name: str) -> list[str]:
        return [call for call in self.calls if call.startswith(f"aws autoscaling {name} ")]

    def ready(self) -> bool:
        return self.worker.get("/readyz").status == 200

    def ends(self) -> int:
        assert self.process is not None
        status = self.process.wait(20)
        assert self.reader is not None
        self.reader.join()
        return status


@pytest.fixture
def host(tmp_path: Path, start_worker: StartWorker) -> Iterator[Host]:
    for name, text in {"docker": DOCKER, "aws": AWS}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with ImdsServer() as imds:
        thread = threading.Thread(target=imds.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        made = Host(tmp_path, imds, start_worker(WORK_MODE="model"))
        yield made
        if made.process is not None and made.process.poll() is None:
            os.killpg(made.process.pid, signal.SIGKILL)
            made.ends()
        imds.shutdown()
        thread.join()


def terminate(host: Host) -> None:
    host.imds.data["autoscaling/target-lifecycle-state"] = "Terminated"


def interrupt(host: Host) -> None:
    host.imds.data["spot/instance-action"] = '{"action": "terminate", "time": "2026-01-01T00:02Z"}'


def ask(host: Host, work_ms: int) -> Callable[[], int]:
    """A request under way; gives its status."""
    connection = host.worker.connect()
    connection.request("GET", f"/cluster1?work_ms={work_ms}")
    wait_until(lambda: host.worker.get("/load").json()["pending"] == 1)

    def status() -> int:
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    return status


def test_a_group_s_machine_drains_before_it_says_go_on(host: Host) -> None:
    host.watch()
    assert host.ready()
    answer = ask(host, 3000)
    terminate(host)
    wait_until(lambda: not host.ready())
    assert host.worker.get("/cluster1").status == 200  # who still asks is served
    assert host.actions("complete-lifecycle-action") == []
    assert answer() == 200
    assert host.actions("complete-lifecycle-action") == []
    assert host.ends() == 0
    (call,) = host.actions("complete-lifecycle-action")
    for part in (
        "--region eu-west-1",
        f"--auto-scaling-group-name {GROUP}",
        f"--lifecycle-hook-name {HOOK_TERMINATING}",
        "--instance-id i-1",
        "--lifecycle-action-result CONTINUE",
    ):
        assert part in call
    assert not [call for call in host.calls if call.startswith("docker stop")]
    assert host.told("nothing is pending")


def test_a_spot_interruption_drains_and_stops(host: Host) -> None:
    host.watch()
    answer = ask(host, 1500)
    interrupt(host)
    wait_until(lambda: not host.ready())
    assert answer() == 200
    assert host.ends() == 0
    assert host.actions("complete-lifecycle-action") == []
    assert host.calls[-1] == "docker stop -t 40 steelyard"
    assert host.worker.process.wait(10) == 0


def test_the_deadline_ends_the_wait_and_heartbeats_go_on_till_then(host: Host) -> None:
    host.watch(DEADLINE_S="4", HEARTBEAT_S="1")
    answer = ask(host, 60_000)
    terminate(host)
    assert host.ends() == 0
    assert host.told("deadline: 1 requests are cut")
    assert len(host.actions("record-lifecycle-action-heartbeat")) >= 2
    assert len(host.actions("complete-lifecycle-action")) == 1
    host.worker.process.send_signal(signal.SIGKILL)
    with pytest.raises(ConnectionError):
        answer()


def test_an_outage_of_the_metadata_service_is_waited_out(host: Host) -> None:
    host.imds.out = True
    host.watch()
    wait_until(lambda: host.imds.tokens == 0 and host.process is not None)
    host.imds.out = False
    wait_until(lambda: host.told("watching i-1"))
    host.imds.out = True
    wait_until(lambda: host.told("does not answer"))
    terminate(host)
    assert host.ready()
    host.imds.tokens += 1  # the old token is worth nothing now
    host.imds.out = False
    assert host.ends() == 0
    assert len([line for line in host.lines if "does not answer" in line]) == 1
    assert len(host.actions("complete-lifecycle-action")) == 1


def test_it_looks_once_in_an_interval(host: Host) -> None:
    host.watch(POLL_S="0.5")
    began = len(host.imds.asked)
    wait_until(lambda: len(host.imds.asked) >= began + 8)
    first, last = host.imds.asked[began], host.imds.asked[began + 7]
    assert last - first > 0.9  # three questions a round at most
    assert host.imds.tokens == 1


@pytest.mark.parametrize(
    ("says", "tries", "status", "told"),
    [
        ("An error (ValidationError): No active Lifecycle Action found", 1, 0, "complete already"),
        ("An error (Throttling): Rate exceeded", 2, 0, "try 1 of 5"),
    ],
)
def test_what_the_group_may_answer(
    host: Host, says: str, tries: int, status: int, told: str
) -> None:
    (host.folder / "aws-says").write_text(f"{says}\n")
    host.watch(NOTICE_S="0")
    terminate(host)
    assert host.ends() == status
    assert len(host.actions("complete-lifecycle-action")) == tries
    assert host.told(told)


def test_a_group_that_never_answers_is_an_error(host: Host) -> None:
    (host.folder / "aws-says").write_text("Could not connect\n" * 9)
    host.watch(NOTICE_S="0")
    terminate(host)
    assert host.ends() == 1
    assert len(host.actions("complete-lifecycle-action")) == 5


def test_a_container_that_is_gone_holds_nobody_up(host: Host) -> None:
    host.worker.stop(signal.SIGINT)
    host.watch()
    terminate(host)
    assert host.ends() == 0
    assert host.told("takes no signal")
    assert len(host.actions("complete-lifecycle-action")) == 1


def test_a_balancer_is_stopped_which_is_its_drain(host: Host) -> None:
    host.watch("balancer", NOTICE_S="0", DEADLINE_S="9")
    terminate(host)
    assert host.ends() == 0
    assert [call for call in host.calls if call.startswith("docker stop")] == [
        "docker stop -t 9 steelyard"
    ]
    assert len(host.actions("complete-lifecycle-action")) == 1


def test_without_a_group_there_is_no_hook_to_complete(host: Host) -> None:
    host.watch("balancer", group=None, NOTICE_S="0")
    interrupt(host)
    assert host.ends() == 0
    assert host.actions("complete-lifecycle-action") == []


def test_a_recommendation_is_told_once_and_nothing_else(host: Host) -> None:
    host.imds.data["events/recommendations/rebalance"] = '{"noticeTime": "now"}'
    host.watch()
    wait_until(lambda: host.told("rebalance recommended"))
    began = len(host.imds.asked)
    wait_until(lambda: len(host.imds.asked) > began + 6)
    assert len([line for line in host.lines if "rebalance" in line]) == 1
    assert host.ready()
