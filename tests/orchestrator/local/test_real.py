"""The real workers behind the real balancer: they come up, answer, and go whatever happens."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from pathlib import Path

from tests.orchestrator.local.command import Command, wait_until

WITH = "tests.orchestrator.local.with_stand_ins"


def real_local(results: Path) -> Command:
    """`steelyard local` with one worker in each cluster."""
    env = {"PROGRAMS": "real", "WORKERS": "1"}
    return Command("-m", WITH, "local", "--results", str(results), env=env)


def test_real_fleet_answers_and_leaves_nothing_when_its_command_is_killed(tmp_path: Path) -> None:
    with real_local(tmp_path) as command:
        command.wait_for("Ctrl-C stops everything")
        answers = {}
        for url in re.findall(r"curl (http:\S+/cluster\d)", command.output):
            with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own loopback
                answers[url.rpartition("/")[2]] = json.load(answer)["machine"]
        assert answers == {"cluster1": "t2.micro", "cluster2": "t2.large"}
        # Guard, work, two workers; the balancer's supervisor and its two children.
        assert len(command.pids()) == 2 + 2 + 3
        guard = command.process.pid
        work = next(pid for pid in command.pids_of(WITH) if pid != guard)
        os.kill(work, signal.SIGKILL)
        wait_until(lambda: command.pids() == [], "nothing is left")
        assert command.process.wait() == 128 + signal.SIGKILL


def test_real_fleet_stops_in_order(tmp_path: Path) -> None:
    with real_local(tmp_path) as command:
        command.wait_for("Ctrl-C stops everything")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 130
        assert "Traceback" not in command.output
        for log in tmp_path.glob("*/micro-*.log"):
            last = json.loads(log.read_text().splitlines()[-1])
            assert last["event"] == "stopped", log.name
        (balancer,) = tmp_path.glob("*/balancer.log")
        last = json.loads(balancer.read_text().splitlines()[-1])
        assert (last["event"], last["forced"]) == ("balancer stopped", False)
