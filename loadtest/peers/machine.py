"""The machine: its cores, who gets which, and how to name it in a report."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Which cores the proxy may use, and which the targets and the generator share."""

    proxy: frozenset[int]
    rest: frozenset[int]

    @property
    def story(self) -> str:
        if self.proxy == self.rest:
            return "nothing is pinned: one core for proxy, targets and generator together"
        return (
            f"the proxy's whole process tree on core {_listed(self.proxy)}, "
            f"targets and generator on {_listed(self.rest)}"
        )


def split_cores() -> Cores:
    """The last usable core for the proxy, the others for everything else."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) == 1:
        return Cores(frozenset(usable), frozenset(usable))
    return Cores(frozenset(usable[-1:]), frozenset(usable[:-1]))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """What is started inside inherits these cores, and so do its children and threads."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_open_files(wanted: int) -> int:
    """Lift this process's limit of open files towards `wanted`; children inherit it.

    Returns the limit now in force. Never lowers it, and never asks for more than the hard limit
    unless the machine lets us (root may).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, OSError):  # not root, or beyond fs.nr_open: the hard limit must do
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def describe() -> dict[str, str]:
    """Cores, processor, memory, kernel and how busy others keep it, as a report names them."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "processor": _processor(),
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "kernel": platform.release(),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _listed(cores: frozenset[int]) -> str:
    return ", ".join(str(core) for core in sorted(cores))
