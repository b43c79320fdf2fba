"""Who asks. A generator runs one scenario against one port for a while and says what came back.

`Wrk` is a closed loop: as many requests as the proxy takes. `OpenLoop` sends at a fixed arrival
rate whatever the answers do, and counts latency from the moment a request was due.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Protocol

from loadtest.peers.contenders import HOST
from loadtest.peers.machine import on_cores
from loadtest.peers.process import PeersError
from loadtest.peers.scenario import Scenario

MARK: Final = "STEELYARD "  # the line of output that carries the numbers
TIMEOUT_S: Final = 10  # of one request
GRACE_S: Final = 30.0  # beyond the run's own time before the generator counts as hung


@dataclass(frozen=True, slots=True)
class Generated:
    """What came back: whole answers, bytes read with heads, failures by kind, latencies."""

    requests: int
    seconds: float
    bytes: int
    failures: dict[str, int]
    p50_ms: float
    p99_ms: float
    p999_ms: float


class Generator(Protocol):
    """The seam: anything that can ask one port for one scenario."""

    @property
    def name(self) -> str: ...

    def run(self, scenario: Scenario, port: int, seconds: int) -> Generated: ...


@dataclass(frozen=True, slots=True)
class Wrk:
    """wrk, one thread, a closed loop."""

    program: str
    cores: frozenset[int]
    name: str = "wrk"

    def run(self, scenario: Scenario, port: int, seconds: int) -> Generated:
        with TemporaryDirectory(prefix="steelyard-wrk-") as directory:
            script = Path(directory) / "scenario.lua"
            script.write_text(lua(scenario))
            argv = [
                *(self.program, "-t1", f"-c{scenario.connections}", f"-d{seconds}s"),
                *(f"--timeout={TIMEOUT_S}s", "-s", str(script)),
                f"http://{HOST}:{port}{scenario.path}",
            ]
            return _generated(_output(argv, self.cores, seconds))


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Our own client at a fixed rate of Poisson arrivals; the seed makes all proxies' alike."""

    rate_per_s: float
    cores: frozenset[int]
    seed: int = 1
    name: str = "open loop"

    def run(self, scenario: Scenario, port: int, seconds: int) -> Generated:
        order = {
            "port": port,
            "path": scenario.path,
            "headers": scenario.headers,
            "body_bytes": scenario.body_bytes,
            "connections": scenario.connections,
            "rate_per_s": self.rate_per_s,
            "seconds": seconds,
            "seed": self.seed,
        }
        argv = [sys.executable, "-m", "loadtest.peers.openloop", json.dumps(order)]
        return _generated(_output(argv, self.cores, seconds))


def find_wrk(cores: frozenset[int]) -> Wrk:
    program = shutil.which("wrk")
    if program is None:
        raise PeersError("wrk is missing; it makes the load (Debian: wrk)")
    return Wrk(program, cores)


def lua(scenario: Scenario) -> str:
    """The script that wrk runs: the request, and one line of numbers at the end."""
    headers = dict(scenario.headers)
    if scenario.new_connection:
        headers["Connection"] = "close"  # wrk connects anew when the answer says close, too
    lines = [f"wrk.headers[{_quoted(k)}] = {_quoted(v)}" for k, v in headers.items()]
    if scenario.unique:
        lines.append(
            f"""
local n = 0
local path = {_quoted(scenario.path + "?n=")}
function request()
    n = n + 1
    wrk.headers["X-Request-Number"] = n
    return wrk.format("GET", path .. n)
end"""
        )
    lines.append(
        f"""
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        '\\n{MARK}{{"requests": %d, "seconds": %.6f, "bytes": %.0f, '
        .. '"failures": {{"connect": %d, "read": %d, "write": %d, "status": %d, "timeout": %d}}, '
        .. '"p50_ms": %.3f, "p99_ms": %.3f, "p999_ms": %.3f}}\\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        e.connect, e.read, e.write, e.status, e.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
        latency:percentile(99.9) / 1e3))
end"""
    )
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text)  # a Lua string literal, for what headers hold


def _output(argv: list[str], cores: frozenset[int], seconds: int) -> str:
    with on_cores(cores):
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=seconds + GRACE_S
            )
        except subprocess.TimeoutExpired:
            raise PeersError(f"{argv[0]} did not end within {seconds + GRACE_S:.0f} s") from None
    if done.returncode != 0:
        raise PeersError(f"{argv[0]} failed: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


def _generated(output: str) -> Generated:
    for line in output.splitlines():
        if line.startswith(MARK):
            numbers: dict[str, Any] = json.loads(line.removeprefix(MARK))
            return Generated(**numbers)
    raise PeersError(f"the generator gave no numbers: {output.strip()[-300:]}")
