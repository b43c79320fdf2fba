"""What /proc says of a process, for assertions about memory and descriptors."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

# A guard against hanging, no claim about speed: a busy machine holds a process up for seconds.
PATIENCE_S: Final = 60.0


def rss_bytes(pid: int) -> int:
    """Resident memory of one process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_rss_bytes(pid: int) -> int:
    """The most resident memory that the process ever had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no VmHWM for process {pid}")


def sockets(pid: int) -> int:
    """How many sockets the process holds open."""
    count = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(entry).startswith("socket:")
    return count


def descriptors(pid: int) -> int:
    """How many descriptors of any kind the process holds open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def alive(pid: int) -> bool:
    """Whether the process is there and no zombie; also true in the middle of its execve(2)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def command(pid: int) -> str:
    """The command line; empty when it is gone or a zombie, and for an instant of execve(2)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children(pid: int) -> dict[int, str]:
    """Living children by process id, with their command lines."""
    found = {}
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in map(int, (task / "children").read_text().split()):
                if line := command(child):
                    found[child] = line
    return found


async def wait_until(
    condition: Callable[[], object],
    what: str,
    deadline_s: float = PATIENCE_S,
    every_s: float = 0.01,
) -> None:
    """Until `condition()` is true; AssertionError with `what` after the deadline."""
    try:
        async with asyncio.timeout(deadline_s):
            while not condition():  # noqa: ASYNC110 - other processes set no event of ours
                await asyncio.sleep(every_s)
    except TimeoutError as error:
        raise AssertionError(f"not within {deadline_s} s: {what}") from error
