"""Nothing that a command starts outlives it, not even when the command is killed with -9.

The command's work runs in a child; the parent does nothing but watch. It is the reaper of every
descendant (PR_SET_CHILD_SUBREAPER), so when the work has ended, in whatever way, it kills what is
left of them, and when it is killed itself, the kernel tells the work to stop (see `tether`).

    terminal ── Ctrl-C ──> guard ── the same signal ──> work ──> workers, balancer, k6
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from orchestrator.local.tether import PR_SET_CHILD_SUBREAPER, die_with, prctl

PASSED_ON: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SWEEP_S: Final = 10.0  # a killed process is gone in milliseconds, unless the disk holds it


def guarded(work: Callable[[], int]) -> int:
    """Run `work` under guard and return its exit code, 128 + n where signal n ended it.

    `work` starts with INT, TERM and HUP blocked: it unblocks them when it is ready to handle them
    (`allow_signals`), so that none is lost on the way. It has a session of its own: a Ctrl-C
    reaches it once, through the guard, and not its children at all.

    Call it from a process that has one thread. Raises OSError when no process can be made.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {*PASSED_ON, signal.SIGCHLD})
    sys.stdout.flush()
    sys.stderr.flush()
    guard = os.getpid()
    child = os.fork()
    if child == 0:
        os._exit(_work_in_child(work, guard))
    try:
        status = _watch(child)
    finally:
        _sweep()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {*PASSED_ON, signal.SIGCHLD})
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = signal.Signals(-code).name
        sys.stderr.write(f"steelyard: ended by {name}; what it had started has been stopped\n")
        return 128 - code
    return code


def allow_signals() -> None:
    """From here on the work handles INT, TERM and HUP."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*PASSED_ON, signal.SIGCHLD})


def _work_in_child(work: Callable[[], int], guard: int) -> int:
    code = 1
    try:
        os.setsid()
        die_with(guard)
        code = work()
    except SystemExit as leave:
        code = leave.code if isinstance(leave.code, int) else 1
    except BaseException:  # noqa: BLE001 - the last frame of this process: nothing may pass os._exit
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def _watch(child: int) -> int:
    """Pass signals on to `child` until it ends; its wait status."""
    while True:
        received = signal.sigwait({*PASSED_ON, signal.SIGCHLD})
        if received != signal.SIGCHLD:
            os.kill(child, received)
            continue
        while True:  # several children may have ended behind one SIGCHLD
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == child:
                return status
            if pid == 0:
                break


def _sweep() -> None:
    """Kill what is left, generation by generation: orphans come to us."""
    deadline = time.monotonic() + SWEEP_S
    while time.monotonic() < deadline:
        for pid in _children():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return  # no child is left
        if pid == 0:
            time.sleep(0.005)  # killed, and not yet reaped
    left = ", ".join(map(str, _children()))
    sys.stderr.write(f"steelyard: these processes do not die: {left}\n")


def _children() -> list[int]:
    """Process ids of the calling process's children, zombies included."""
    me = str(os.getpid())
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue  # gone between the look and the read
        # The command's name may hold spaces and brackets: the fields begin after the last bracket.
        if text.rpartition(")")[2].split()[1] == me:
            found.append(int(entry.parent.name))
    return found
