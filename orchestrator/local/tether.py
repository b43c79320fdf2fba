"""Starts a program that ends when the process that asked for it ends (only on Linux).

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENT...]

The kernel sends SIGTERM to the program when its parent dies, however the parent dies: see
PR_SET_PDEATHSIG in prctl(2). The setting survives exec but not fork, which is why it is made here,
between the two. It is bound to the *thread* that forked: start programs from the main thread.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Final

PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
PR_SET_CHILD_SUBREAPER: Final = 36


def prctl(option: int, value: int) -> None:
    """One setting of the calling process. Raises OSError when the kernel refuses it."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def die_with(parent: int) -> None:
    """SIGTERM to this process when `parent` dies; at once if it is dead already."""
    prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: list[str]) -> None:
    """Does not return: becomes the program, or exits 127 when there is none such."""
    parent, *program = arguments
    # A parent that is handling signals may have some of them blocked; a program starts with none.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    die_with(int(parent))
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
