"""Nothing outlives a guarded command."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.orchestrator.local.command import Command, wait_until

# The work starts a child and a grandchild in sessions of their own, both deaf to SIGTERM.
WORK = """
import subprocess, sys, time
from orchestrator.local.guard import allow_signals, guarded

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
GRANDCHILD = DEAF + "time.sleep(600)"
CHILD = (
    "import subprocess, sys; "
    f"subprocess.Popen([sys.executable, '-c', {GRANDCHILD!r}], start_new_session=True); "
    + GRANDCHILD
)

def work():
    subprocess.Popen([sys.executable, "-c", CHILD], start_new_session=True)
    print("ready", flush=True)
    END

raise SystemExit(guarded(work))
"""
WAITS = "allow_signals(); time.sleep(600)"


def guarded(end: str) -> Command:
    return Command("-c", WORK.replace("END", end))


def test_exit_code_of_the_work() -> None:
    with guarded("return 7") as command:
        assert command.wait() == 7


def test_exception_of_the_work() -> None:
    with guarded("raise LookupError('lost')") as command:
        assert command.wait() == 1
        assert "LookupError: lost" in command.output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_passed_on(number: signal.Signals) -> None:
    handler = f"signal.signal({int(number)}, lambda *_: sys.exit(5))"
    with guarded(f"import signal; {handler}; {WAITS}") as command:
        command.wait_for("ready")
        command.process.send_signal(number)
        assert command.wait() == 5


def test_signal_before_the_work_is_ready_is_kept_for_it() -> None:
    late = "import signal\n    while not signal.sigpending(): time.sleep(0.01)\n    "
    handler = "signal.signal(2, lambda *_: sys.exit(5)); "
    with guarded(late + handler + WAITS) as command:
        command.wait_for("ready")
        command.process.send_signal(signal.SIGINT)
        assert command.wait() == 5


def test_work_killed() -> None:
    with guarded(WAITS) as command:
        command.wait_for("ready")
        wait_until(lambda: len(command.pids()) == 4, "guard, work, child, grandchild")
        (work,) = _children_of(command.process.pid)
        os.kill(work, signal.SIGKILL)
        assert command.wait() == 128 + signal.SIGKILL
        assert "ended by SIGKILL" in command.output


def test_guard_killed_tells_the_work() -> None:
    said = "signal.signal(15, lambda *_: print('told', flush=True) or sys.exit(0))"
    with guarded(f"import signal; {said}; {WAITS}") as command:
        command.wait_for("ready")
        command.process.kill()
        command.wait_for("told")


def _children_of(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in text.split()]
