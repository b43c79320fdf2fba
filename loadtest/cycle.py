"""What a request costs the data plane's own code: real connections, their sockets taken away.

    python -m loadtest.cycle
    cd build/compiled && PYTHONPATH=../.. python -m loadtest.cycle    # what `make compile` made

A client's bytes go in, the target's answer goes in, both come out: no system call, no loop, so what
is left is what a change of the code can change. CPU time of the process, the best of many short
runs, all variants in turn; ratios are what holds. The system calls (four a request on kept
connections, two a probe) cost about as much again; `python -m loadtest.peers` has the whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any, Final, cast

from services.balancer.config import AccessLog, ClusterConfig, Config, PolicySpec, RouteConfig
from services.balancer.dataplane.accept import ClientConnection
from services.balancer.dataplane.forward import TargetConnection
from services.balancer.dataplane.plane import Plane
from services.balancer.dataplane.probes import Probe
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, Membership, TargetPicture

RUNS: Final = 60
CYCLES: Final = 200  # of a run; then the access log hands over what it has
TARGETS: Final = 4
REPORTS: Final = 4096  # different ones, more than are remembered
ASKED: Final = b"GET /c/x?a=1 HTTP/1.1\r\nHost: example.org\r\nUser-Agent: x\r\nAccept: */*\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n%b\r\nok"
REPORT: Final = (
    b"endpoint-load-metrics: TEXT cpu_utilization=0.%02d, named_metrics.pending=%d, "
    b"named_metrics.latency_ms=%d.5\r\n"
)


class _Transport:
    """Takes everything, keeps nothing."""

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass


class _Timer:
    def cancel(self) -> None:
        """It never comes."""


class _Loop:
    """Time stands still."""

    def call_later(self, *_: Any) -> _Timer:
        return _Timer()


class Cycle:
    """One client and four targets, each with two pooled connections."""

    def __init__(self, policy: str, *, reports: bool = False, log: bool = False) -> None:
        access_log = AccessLog(path="/dev/null", buffer_bytes=1 << 28) if log else None
        config = Config(
            clusters=(ClusterConfig(name="c", targets=(), policy=PolicySpec(name=policy)),),
            routes=(RouteConfig(path="/", cluster="c"),),
            access_log=access_log,
        )
        self.plane = Plane(
            loop=cast("Any", _Loop()), ledger=Ledger.create(1), row=0, config=config, rng=Random(1)
        )
        pictures = tuple(
            TargetPicture(
                id=f"c/10.0.0.{n}:80",
                cluster="c",
                host=f"10.0.0.{n}",
                port=80,
                slot=n,
                health=Health.HEALTHY,
            )
            for n in range(TARGETS)
        )
        self.plane.member(Membership(version=1, full=True, last=True, upserts=pictures))
        self._targets = list(self.plane.clusters["c"].targets.values())
        for target in self._targets * 2:
            connection = TargetConnection(self.plane, target)
            connection.connection_made(cast("Any", _Transport()))
            connection.reused = True
            target.idle.append(connection)
        self._client = ClientConnection(self.plane)
        self._client.connection_made(cast("Any", _Transport()))
        lines = [REPORT % (n % 100, n % 13, n) for n in range(REPORTS)] if reports else [b""]
        self._answers = [ANSWER % line for line in lines]
        self._asked = 0

    def _answer(self) -> bytes:
        self._asked += 1
        return self._answers[self._asked % len(self._answers)]

    def requests(self) -> None:
        """So many requests, answered."""
        client = self._client
        for _ in range(CYCLES):
            client.data_received(ASKED)
            exchange = client._exchange
            cast("TargetConnection", cast("Any", exchange)._connection).data_received(
                self._answer()
            )
        if self.plane.access is not None:
            self.plane.access.flush()

    def probes(self) -> None:
        """So many probes on pooled connections, answered."""
        rules = self.plane.config.clusters[0].probe
        for number in range(CYCLES):
            probe = Probe(self.plane, self._targets[number % TARGETS], rules, self.plane.clock())
            probe.begin()
            cast("TargetConnection", probe._connection).data_received(self._answer())

    def close(self) -> None:
        """The log's thread ends."""
        self.plane.close()


def variants() -> dict[str, tuple[Cycle, Callable[[], None]]]:
    """What is compared, the plain one first."""
    plain, reporting = Cycle("peak_ewma"), Cycle("peak_ewma", reports=True)
    prequal, logged = Cycle("prequal", reports=True), Cycle("peak_ewma", log=True)
    return {
        "a request": (plain, plain.requests),
        "with a load report that nobody reads": (reporting, reporting.requests),
        "with prequal, which reads it": (prequal, prequal.requests),
        "with an access log": (logged, logged.requests),
        "a probe": (prequal, prequal.probes),
    }


def measure(runs: int = RUNS) -> dict[str, float]:
    """CPU microseconds of one of each, the best of `runs`."""
    found = variants()
    best = dict.fromkeys(found, float("inf"))
    for _ in range(runs):
        for name, (_, run) in found.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], (time.process_time() - start) / CYCLES * 1e6)
    for cycle, _ in found.values():
        cycle.close()
    return best


def main() -> None:
    """Print a line for each."""
    best = measure()
    plain = next(iter(best.values()))
    for name, cost_us in best.items():
        print(f"{name:38} {cost_us:6.1f} us {cost_us / plain:5.2f}")


if __name__ == "__main__":
    main()
