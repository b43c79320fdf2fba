"""A program running on its cores: started, awaited, its whole tree's CPU and memory read, stopped.

Resource handling: `running` is a context manager; on every way out the root gets SIGTERM, a short
grace, and then whatever is left of its tree SIGKILL.
"""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

import psutil

from loadtest.peers.contenders import HOST, Launch, Proxy
from loadtest.peers.machine import on_cores

READY_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.02
STOP_GRACE_S: Final = 2.0
TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class PeersError(Exception):
    """Something that keeps a measurement from being made; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Running:
    """A started program and its descendants."""

    root: psutil.Process
    log: Path

    def tree(self) -> list[psutil.Process]:
        return [self.root, *self.root.children(recursive=True)]

    def cpu_s(self) -> float:
        """CPU seconds of the whole tree so far, reaped children included.

        The living are read from their process clock (nanoseconds, all threads, also ended ones);
        children that were reaped are in their parent's `cutime` and `cstime` (ticks).
        """
        total = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess, OSError):  # it ended between the look and the read
                total += time.clock_gettime(_cpu_clock(process.pid))
                times = process.cpu_times()
                total += times.children_user + times.children_system
        return total

    def memory_bytes(self) -> dict[int, int]:
        """Proportional set size of each process of the tree, by process id."""
        found = {}
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                found[process.pid] = process.memory_full_info().pss
        return found


def _cpu_clock(pid: int) -> int:
    """The clock id of another process's CPU time; see clock_getcpuclockid(3)."""
    return (~pid << 3) | 2


def free_ports(count: int, rng: Random) -> list[int]:
    """Loopback ports that are free now and outside the range that outgoing connections take."""
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    candidates = rng.sample(range(10_000, max(low, 20_000)), k=50 * count)
    found: list[int] = []
    for port in candidates:
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise PeersError(f"no {count} free ports on {HOST}")


def find_program(proxy: Proxy) -> str | None:
    """On PATH, or in the venv that `make bench-peers` fills from locks/peers.txt."""
    venv = Path(sys.prefix) / "peers"
    for place in venv.glob(f"lib/python*/site-packages/{proxy.program}/_bin/{proxy.program}"):
        return str(place)  # Envoy's package puts a Python wrapper on PATH; this is the real one
    own = venv / "bin" / proxy.program
    return str(own) if own.exists() else shutil.which(proxy.program)


@contextmanager
def running(
    launch: Launch, *, name: str, listen: int, directory: Path, cores: frozenset[int]
) -> Iterator[Running]:
    """Start it, wait until it answers 200, and stop it on the way out. Raises PeersError."""
    directory.chmod(0o755)  # nginx's worker drops root and must still read its files
    for file, text in launch.files.items():
        (directory / file).write_text(text)
    log = directory / "output.log"
    with log.open("wb") as output, on_cores(cores):
        process = subprocess.Popen(
            launch.argv,
            cwd=directory,
            env={**os.environ, **launch.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is ours to pass on
        )
    started = Running(psutil.Process(process.pid), log)
    try:
        _wait_ready(process, launch, name, listen, log)
        yield started
    finally:
        _stop(process, started)


def _wait_ready(
    process: subprocess.Popen[bytes], launch: Launch, name: str, listen: int, log: Path
) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise PeersError(f"{name} ended at start: {_last_lines(log)}")
        if status(listen, launch.ready_path) == 200:
            return
        time.sleep(POLL_S)  # a proxy tells nobody that it is ready
    raise PeersError(f"{name} was not ready within {READY_TIMEOUT_S:.0f} s: {_last_lines(log)}")


def status(port: int, path: str) -> int | None:
    """The status of one GET, or None where nobody answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=2.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes], started: Running) -> None:
    tree: list[psutil.Process] = []
    with suppress(psutil.NoSuchProcess):
        tree = started.root.children(recursive=True)
    process.terminate()
    try:
        process.wait(STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for orphan in tree:
        with suppress(psutil.NoSuchProcess):  # psutil compares start times: never a reused id
            orphan.kill()
    psutil.wait_procs(tree, timeout=STOP_GRACE_S)


def _last_lines(log: Path, count: int = 3) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return " | ".join(lines[-count:]) or "it said nothing"
