"""`steelyard demo` and `steelyard local` as a user starts and stops them, with cheap programs.

The real ones run in `tests/e2e` and in `.ci/readme`.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.orchestrator.local.command import Command, wait_until

WITH_STAND_INS = ("-m", "tests.orchestrator.local.with_stand_ins")
EVERYTHING = 2 + 2 + 1  # guard and work, workers, balancer


def steelyard(what: str, results: Path, *options: str, **env: str) -> Command:
    short = {"RAMP_S": "1", "WORKERS": "1"}
    return Command(*WITH_STAND_INS, what, "--results", str(results), *options, env=short | env)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def one(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match is not None, f"no {pattern} in:\n{text}"
    return match[1]


def test_demo_measures_reports_and_leaves_nothing(tmp_path: Path) -> None:
    with steelyard("demo", tmp_path, WORKERS="4") as command:
        assert command.wait() == 0, command.output
        assert "8 workers healthy" in command.output
        page = Path(one(r"report: (.*)\n", command.output))
        assert "t2.micro" in page.read_text()
        assert "Modelled machines" in page.with_name("report.md").read_text()
        assert len(re.findall(r"thousand +cluster[12] +1,000 +0 ", command.output)) == 2
        assert len(re.findall(r"ramp +cluster[12] ", command.output)) == 2
        assert "everything is stopped" in command.output


def test_demo_moves_off_a_taken_port(tmp_path: Path) -> None:
    try:
        server = socket.create_server(("127.0.0.1", 9101))
    except OSError:
        server = None  # somebody else is so kind as to take it
    with steelyard("demo", tmp_path) as command:
        command.wait_for("1000 requests to each cluster")
        assert "port 9101 is taken: micro-1 listens on 9" in command.output
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
    if server is not None:
        server.close()


@pytest.mark.parametrize("what", ["demo", "local"])
def test_a_taken_port_that_was_asked_for_is_one_clear_line(
    what: str, tmp_path: Path, taken: int
) -> None:
    with steelyard(what, tmp_path, "--port", str(taken)) as command:
        assert command.wait() == 1
        last = command.lines[-1]
        assert last.startswith(f"steelyard {what}: port {taken} for balancer is taken")
        assert "Traceback" not in command.output


@pytest.mark.parametrize("what", ["demo", "local"])
def test_a_worker_that_dies_at_start_is_one_clear_error(what: str, tmp_path: Path) -> None:
    options = json.dumps({"large-1": ["--die"]})
    with steelyard(what, tmp_path, FLEET_OPTIONS=options) as command:
        assert command.wait() == 1
        assert f"steelyard {what}: large-1 ended with code" in command.output
        assert "the last word" in command.output
        assert "Traceback" not in command.output


@pytest.mark.parametrize("processes", [2, 3, 4, EVERYTHING])
def test_ctrl_c_while_starting(tmp_path: Path, processes: int) -> None:
    with steelyard("demo", tmp_path) as command:
        wait_until(lambda: len(command.pids()) >= processes, f"{processes} processes")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert "Traceback" not in command.output
        assert not list(tmp_path.glob("*/report.html")), "nothing was measured"


def test_ctrl_c_before_anything(tmp_path: Path) -> None:
    with steelyard("demo", tmp_path) as command:
        command.process.send_signal(signal.SIGINT)
        assert command.wait() in (130, -signal.SIGINT, 1)


def test_ctrl_c_while_k6_runs_keeps_what_was_measured(tmp_path: Path) -> None:
    with steelyard("demo", tmp_path, RAMP_S="30") as command:
        command.wait_for("rising load")
        wait_until(lambda: bool(command.pids_of("load.js")), "k6 runs")
        command.wait_for("cluster1 + cluster2: ")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert "interrupted" in command.output
        report = Path(one(r"report: (.*)\n", command.output)).with_name("report.md").read_text()
        assert "thousand" in report
        assert "interrupted" in report


def test_ctrl_c_twice_while_k6_runs(tmp_path: Path) -> None:
    with steelyard("demo", tmp_path, RAMP_S="30") as command:
        wait_until(lambda: bool(command.pids_of("load.js")), "k6 runs")
        command.process.send_signal(signal.SIGINT)
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert "Traceback" not in command.output


def test_ctrl_c_twice_while_a_stubborn_worker_stops(tmp_path: Path) -> None:
    options = json.dumps({"micro-1": ["--stubborn"]})
    with steelyard("local", tmp_path, FLEET_OPTIONS=options) as command:
        command.wait_for("Ctrl-C stops everything")
        command.process.send_signal(signal.SIGINT)
        # Only the stubborn one is left, with guard and work: now the user loses patience.
        wait_until(lambda: len(command.pids()) == 3, "all but one have ended")
        command.process.send_signal(signal.SIGINT)
        wait_until(lambda: command.process.poll() is not None, "ended at once", deadline_s=3)
        assert command.wait() == 130


@pytest.mark.parametrize("victim", ["guard", "work"])
def test_killed_demo_leaves_nothing(tmp_path: Path, victim: str) -> None:
    with steelyard("demo", tmp_path, RAMP_S="30") as command:
        wait_until(lambda: bool(command.pids_of("load.js")), "k6 runs")
        guard = command.process.pid
        work = next(pid for pid in command.pids_of("with_stand_ins") if pid != guard)
        os.kill(guard if victim == "guard" else work, signal.SIGKILL)
        wait_until(lambda: command.pids() == [], "nothing is left")


def test_local_answers_restarts_and_stops(tmp_path: Path) -> None:
    with steelyard("local", tmp_path) as command:
        command.wait_for("Ctrl-C stops everything")
        for url in re.findall(r"curl (http:\S+)", command.output):
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own loopback
                assert answer.status == 200
        victim = int(one(r"kill -9 (\d+)", command.output))
        os.kill(victim, signal.SIGKILL)
        command.wait_for("micro-1 was ended by SIGKILL: again in 2 s")
        command.wait_for("the balancer has taken micro-1 out")
        command.wait_for("the balancer has taken micro-1 back")
        command.process.send_signal(signal.SIGTERM)
        assert command.wait() == 128 + signal.SIGTERM
