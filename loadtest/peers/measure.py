"""One run: look at the answers, warm up, generate, read the CPU clock before and after.

A run whose answers are not all 200 with the right length is void: it has no figures, only the
reason.
"""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass
from typing import Final

from loadtest.peers.contenders import HOST
from loadtest.peers.generate import Generated, Generator
from loadtest.peers.process import Running
from loadtest.peers.scenario import KIB, Scenario

LOOKS: Final = 8  # answers read in full before a run: each of four targets twice
HEAD_MAX_BYTES: Final = KIB  # a response head longer than this is not one of ours
BUSY: Final = 0.95  # below this share of a core it is the generator that limits throughput
WARM_UP_S: Final = 1
LOOK_TIMEOUT_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """What one run gave; `void` says why it does not count. Rates are per second."""

    proxy: str
    scenario: str
    generator: str
    round: int
    void: str | None = None
    requests: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    busy: float = 0.0  # CPU seconds of the proxy's tree per second of wall time
    p50_ms: float = 0.0
    p99_ms: float = 0.0
    p999_ms: float = 0.0

    @property
    def per_cpu_s(self) -> float:
        return self.requests / self.cpu_s if self.cpu_s else 0.0

    @property
    def per_s(self) -> float:
        return self.requests / self.seconds if self.seconds else 0.0


def look(scenario: Scenario, port: int) -> str | None:
    """Ask a few times and read everything; the reason where an answer is wrong."""
    connection = http.client.HTTPConnection(HOST, port, timeout=LOOK_TIMEOUT_S)
    try:
        for _ in range(LOOKS):
            connection.request("GET", scenario.path, headers=dict(scenario.headers))
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != 200:
                return f"answered {answer.status}"
            if len(body) != scenario.body_bytes:
                return f"answered {len(body)} bytes, not {scenario.body_bytes}"
    except (OSError, http.client.HTTPException) as error:
        return f"did not answer: {error!r}"
    finally:
        connection.close()
    return None


def fault(scenario: Scenario, got: Generated) -> str | None:
    """Why what the generator saw does not count, or None."""
    failures = {kind: count for kind, count in got.failures.items() if count}
    if failures:
        return "failures: " + ", ".join(f"{count} {kind}" for kind, count in failures.items())
    if not got.requests:
        return "no answer at all"
    # The generator may have read parts of answers that it no longer counts.
    most = (got.requests + scenario.connections) * (scenario.body_bytes + HEAD_MAX_BYTES)
    if not got.requests * scenario.body_bytes <= got.bytes <= most:
        return f"{got.requests} answers cannot be {got.bytes} bytes"
    return None


def measure(
    proxy: str,
    scenario: Scenario,
    generator: Generator,
    running: Running,
    *,
    port: int,
    seconds: int,
    round_: int,
) -> Run:
    """One run of `seconds` after a warm-up. Raises PeersError where the generator itself fails."""
    wrong = look(scenario, port)
    if wrong is not None:
        return Run(proxy, scenario.name, generator.name, round_, wrong)
    generator.run(scenario, port, WARM_UP_S)
    cpu_before_s, before_s = running.cpu_s(), time.perf_counter()
    got = generator.run(scenario, port, seconds)
    cpu_s, wall_s = running.cpu_s() - cpu_before_s, time.perf_counter() - before_s
    return Run(
        proxy,
        scenario.name,
        generator.name,
        round_,
        fault(scenario, got),
        got.requests,
        got.seconds,
        cpu_s,
        cpu_s / min(wall_s, got.seconds),
        got.p50_ms,
        got.p99_ms,
        got.p999_ms,
    )
