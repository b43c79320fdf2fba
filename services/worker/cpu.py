"""CPU used and stolen, as fractions, from the best source that this machine has.

A modelled machine reports its own (see `machine`). A container with a CPU quota is measured by its
cgroup against that quota. Anything else by /proc/stat, which in a container is the host's. Steal
always comes from /proc/stat where it is real. Formats: proc(5), and the kernel's cgroup-v1/cpuacct,
scheduler/sched-bwc and cgroup-v2 documents.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from services.worker.machine import Machine

MIN_WINDOW_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class CpuCounters:
    """Ever growing sums in CPU-seconds. Fractions come from the difference of two of them."""

    used_s: float  # CPU time used
    usable_s: float  # CPU time that could have been used
    stolen_s: float  # CPU time that the hypervisor gave to others
    total_s: float  # CPU time of the whole machine: vCPUs x time


class CpuSource(Protocol):
    """Something that counts CPU time; `name` goes into the load report."""

    @property
    def name(self) -> str:
        """`model`, `cgroup-v1`, `cgroup-v2` or `proc-stat`."""

    def read(self, now_s: float) -> CpuCounters:
        """Return the counters at `now_s` (monotonic). Raises OSError or ValueError."""


class ProcStat:
    """The whole machine, by the first line of /proc/stat."""

    name = "proc-stat"

    def __init__(self, root: Path = Path("/")) -> None:
        self._path = root / "proc/stat"
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")

    def read(self, now_s: float) -> CpuCounters:
        """Return busy, not stolen, stolen and total time since boot."""
        with self._path.open() as file:
            words = file.readline().split()
        user, nice, system, idle, iowait, irq, softirq, steal = (
            int(word) * self._tick_s for word in words[1:9]
        )  # guest time is part of user time already
        used_s = user + nice + system + irq + softirq
        usable_s = used_s + idle + iowait
        return CpuCounters(used_s, usable_s, steal, usable_s + steal)


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A container's CPU time against its quota; steal from /proc/stat."""

    name: str
    usage: Path  # cpu.stat (v2) or cpuacct.usage (v1)
    quota_cpus: float
    host: ProcStat

    def read(self, now_s: float) -> CpuCounters:
        """Return CPU time used since the cgroup's birth, and the quota since an arbitrary time."""
        text = self.usage.read_text()
        if self.name == "cgroup-v2":
            used_s = int(_fields(text)["usage_usec"]) / 1e6
        else:
            used_s = int(text) / 1e9
        host = self.host.read(now_s)
        return CpuCounters(used_s, self.quota_cpus * now_s, host.stolen_s, host.total_s)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in text.splitlines() if " " in line)


def find_cpu_source(root: Path = Path("/")) -> CpuSource | None:
    """Return the best source under `root`, None when there is none (not Linux)."""
    host = ProcStat(root)
    try:
        host.read(0.0)
    except (OSError, ValueError):
        return None
    return _cgroup_v2(root, host) or _cgroup_v1(root, host) or host


def _own_paths(root: Path) -> dict[str, str]:
    """Return this process's cgroup path by controller ("" is v2's), from /proc/self/cgroup."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return {}
    paths = {}
    for line in lines:
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            paths[controller] = path
    return paths


def _and_parents(mount: Path, path: str) -> list[Path]:
    """Return the cgroup's directory and those above it, up to the mount.

    Inside a container the path is often the host's and not there: then the mount is our own.
    """
    directory = mount / path.lstrip("/")
    if ".." in path or not directory.is_dir():
        return [mount]
    between = [parent for parent in directory.parents if parent.is_relative_to(mount)]
    return [directory, *between]


def _cgroup_v2(root: Path, host: ProcStat) -> Cgroup | None:
    mount = root / "sys/fs/cgroup"
    found: list[Cgroup] = []
    for directory in _and_parents(mount, _own_paths(root).get("", "/")):
        try:
            quota, period = (directory / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            cpus = int(quota) / int(period)
            found.append(Cgroup("cgroup-v2", directory / "cpu.stat", cpus, host))
    return min(found, key=lambda cgroup: cgroup.quota_cpus, default=None)


def _cgroup_v1(root: Path, host: ProcStat) -> Cgroup | None:
    mount = root / "sys/fs/cgroup/cpu"
    own = _own_paths(root)
    path = own.get("cpu", "/")
    found: list[Cgroup] = []
    for directory in _and_parents(mount, path):
        try:
            quota_us = int((directory / "cpu.cfs_quota_us").read_text())
            period_us = int((directory / "cpu.cfs_period_us").read_text())
        except (OSError, ValueError):
            continue
        if quota_us > 0:  # -1: no quota
            usage = root / "sys/fs/cgroup/cpuacct" / directory.relative_to(mount) / "cpuacct.usage"
            if usage.exists():
                found.append(Cgroup("cgroup-v1", usage, quota_us / period_us, host))
    return min(found, key=lambda cgroup: cgroup.quota_cpus, default=None)


class ModelCpu:
    """A modelled machine's own account; steal is what throttling and antagonists withheld."""

    name = "model"

    def __init__(self, machine: Machine, now_s: float) -> None:
        self._machine = machine
        self._since_s = now_s

    def read(self, now_s: float) -> CpuCounters:
        """Return the model's counters, with the model brought to `now_s`."""
        machine = self._machine
        machine.run_to(now_s)
        total_s = machine.kind.vcpus * (now_s - self._since_s)
        return CpuCounters(machine.used_s, machine.usable_s, machine.stolen_s, total_s)


class CpuGauge:
    """The fractions over the last window, from a source that someone samples about once a second.

    `utilization` and `steal` lie in 0..1 and are None until two samples are there.
    """

    def __init__(self, source: CpuSource | None) -> None:
        self._source = source
        self._last: tuple[float, CpuCounters] | None = None
        self.source = source.name if source is not None else "none"
        self.utilization: float | None = None
        self.steal: float | None = None

    def sample(self, now_s: float) -> None:
        """Read the source, unless that was done less than MIN_WINDOW_S ago.

        Raises OSError or ValueError when the source can no longer be read.
        """
        if self._source is None:
            return
        if self._last is not None and now_s - self._last[0] < MIN_WINDOW_S:
            return
        counters = self._source.read(now_s)
        if self._last is not None:
            before = self._last[1]
            self.utilization = _fraction(
                counters.used_s - before.used_s, counters.usable_s - before.usable_s
            )
            self.steal = _fraction(
                counters.stolen_s - before.stolen_s, counters.total_s - before.total_s
            )
        self._last = (now_s, counters)


def _fraction(part: float, whole: float) -> float:
    return min(max(part / whole, 0.0), 1.0) if whole > 0 else 0.0
