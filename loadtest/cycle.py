"""What a request costs the data plane's own code, and each feature: real connections, no sockets.

    python -m loadtest.cycle                    # both builds, after `make compile`
    python -m loadtest.cycle --update-docs      # the table in docs/benchmarks.md

A client's bytes go in, the target's answer goes in, both come out: no system call, no loop, so what
is left is what a change of the code can change. CPU time of the process, the best of many short
runs, all variants in turn; differences are what holds. The system calls (four a request on kept
connections, two a probe) cost about as much again; `python -m loadtest.peers` has the whole.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final, cast

import typer

from loadtest.builds import TITLES, in_both
from loadtest.page import measured, rewrite, table
from loadtest.peers.scenario import BROWSER_HEADERS
from services.balancer.config import AccessLog, ClusterConfig, Config, PolicySpec, RouteConfig
from services.balancer.dataplane.accept import ClientConnection
from services.balancer.dataplane.forward import TargetConnection
from services.balancer.dataplane.observe import ANSWERED, Attempt
from services.balancer.dataplane.plane import Plane
from services.balancer.dataplane.probes import Probe
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, Membership, TargetPicture

RUNS: Final = 60
CYCLES: Final = 200  # of a run; then the access log hands over what it has
TARGETS: Final = 4
DIFFERENT: Final = 4096  # reports or heads, more than are remembered
DOCS: Final = Path("docs/benchmarks.md")
COMMAND: Final = "python -m loadtest.cycle --update-docs"

HEAD: Final = b"GET %b HTTP/1.1\r\nHost: example.org\r\n%b\r\n"
PLAIN: Final = b"User-Agent: x\r\nAccept: */*\r\n"
BROWSER: Final = "".join(f"{name}: {value}\r\n" for name, value in BROWSER_HEADERS).encode()
ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n%b\r\nok"
REPORT: Final = (
    b"endpoint-load-metrics: TEXT cpu_utilization=0.%02d, named_metrics.pending=%d, "
    b"named_metrics.latency_ms=%d.5\r\n"
)
PEER: Final = "192.0.2.1"


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
        return (PEER, 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None:
        pass


class _Timer:
    def cancel(self) -> None:
        """It never comes."""


class _Loop:
    """Time stands still."""

    def call_later(self, *_: Any) -> _Timer:
        return _Timer()


def _asked(lines: bytes = PLAIN) -> list[bytes]:
    return [HEAD % (b"/c/x?a=1", lines)]


@dataclass(frozen=True, slots=True)
class Shape:
    """What is configured, and what comes; everything else is the default."""

    policy: str = "peak_ewma"  # the least that is known of a target is kept: reports are not read
    parameters: tuple[tuple[str, Any], ...] = ()
    reports: bool = False
    log: bool = False
    trusted: bool = False
    routes: tuple[RouteConfig, ...] = (RouteConfig(path="/", cluster="c"),)
    max_pending_total: int = 0
    processes: int = 1
    asked: tuple[bytes, ...] = tuple(_asked())


class Cycle:
    """One client and four targets, each with two pooled connections."""

    def __init__(self, shape: Shape) -> None:
        log = AccessLog(path="/dev/null", buffer_bytes=1 << 28) if shape.log else None
        policy = PolicySpec(name=shape.policy, params=dict(shape.parameters))
        limit = shape.max_pending_total
        config = Config(
            processes=shape.processes,
            clusters=(ClusterConfig(name="c", targets=(), policy=policy, max_pending_total=limit),),
            routes=shape.routes,
            trusted_proxies=(f"{PEER}/32",) if shape.trusted else (),
            access_log=log,
        )
        self.plane = Plane(
            loop=cast("Any", _Loop()),
            ledger=Ledger.create(shape.processes),
            row=0,
            config=config,
            rng=Random(1),
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
        self._client = self._connected()
        reports = [REPORT % (n % 100, n % 13, n) for n in range(DIFFERENT)]
        self._answers = [ANSWER % line for line in (reports if shape.reports else [b""])]
        self._asked = shape.asked
        self._turn = 0

    def _connected(self) -> ClientConnection:
        client = ClientConnection(self.plane)
        client.connection_made(cast("Any", _Transport()))
        return client

    def _answer(self) -> bytes:
        self._turn += 1
        return self._answers[self._turn % len(self._answers)]

    def _request(self, client: ClientConnection) -> None:
        client.data_received(self._asked[self._turn % len(self._asked)])
        exchange = client._exchange
        cast("TargetConnection", cast("Any", exchange)._connection).data_received(self._answer())

    def requests(self) -> None:
        """So many requests, answered."""
        for _ in range(CYCLES):
            self._request(self._client)
        if self.plane.access is not None:
            self.plane.access.flush()

    def clients(self) -> None:
        """So many, each on a connection of its own."""
        for _ in range(CYCLES):
            client = self._connected()
            self._request(client)
            client.connection_lost(None)

    def attempts(self) -> None:
        """The part of it that can't be switched off: a place taken, all that is counted, learnt."""
        plane, target = self.plane, self._targets[0]
        for _ in range(CYCLES):
            target.claim()
            attempt = Attempt(target, target.counts, plane.clock())
            attempt.status = 200
            attempt.close(ANSWERED, plane.clock())

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


def variants() -> dict[str, Callable[[], None]]:
    """What is compared, the plain one first; each is a run."""
    forwarded = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"
    tenant = (
        RouteConfig(path="/", headers={"x-tenant": "a"}, cluster="c"),
        RouteConfig(path="/", cluster="c"),
    )
    unique = tuple(
        HEAD % (b"/c/x?n=%d" % n, BROWSER + b"X-Request-Number: %d\r\n" % n)
        for n in range(DIFFERENT)
    )
    plain = Cycle(Shape())
    shapes = {
        "a load report that nobody reads": Shape(reports=True),
        "`round_robin`": Shape("round_robin"),
        "`least_pending`": Shape("least_pending"),
        "`consistent_hash` by the client's address": Shape("consistent_hash"),
        "`consistent_hash` by a header": Shape(
            "consistent_hash",
            (("key", "header:X-Tenant"),),
            asked=tuple(_asked(PLAIN + b"X-Tenant: a\r\n")),
        ),
        "`steelyard`, the default, without reports": Shape("steelyard"),
        "`steelyard`, with reports": Shape("steelyard", reports=True),
        "`prequal`, with reports": Shape("prequal", reports=True),
        "an access log": Shape(log=True),
        "a trusted proxy's forwarding lines": Shape(
            trusted=True, asked=tuple(_asked(PLAIN + forwarded))
        ),
        "a route by a header": Shape(
            routes=tenant, asked=tuple(_asked(PLAIN + b"X-Tenant: a\r\n"))
        ),
        "a limit on all pending": Shape(max_pending_total=1000),
        "another data-plane process's counts": Shape(processes=2),
        "15 headers, as browsers send them": Shape(asked=tuple(_asked(BROWSER))),
        "15 headers, no two heads alike": Shape(asked=unique),
    }
    return {
        "a request": plain.requests,
        **{name: Cycle(shape).requests for name, shape in shapes.items()},
        "a client connection for each": plain.clients,
        "counts, histogram, passive health": plain.attempts,
        "a probe": Cycle(Shape("prequal", reports=True)).probes,
    }


WHOLE: Final = ("a request", "counts, histogram, passive health", "a probe")  # not on top of one


def measure(runs: int = RUNS) -> dict[str, float]:
    """CPU microseconds of one of each, the best of `runs`."""
    found = variants()
    best = dict.fromkeys(found, float("inf"))
    for _ in range(runs):
        for name, run in found.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], (time.process_time() - start) / CYCLES * 1e6)
    for run in found.values():
        cast("Any", run).__self__.close()
    return best


def markdown(builds: dict[str, dict[str, float]]) -> str:
    """The table: what each costs, and what it adds to a plain request."""
    rows = []
    for name in builds[TITLES[0]]:
        row = [name if name in WHOLE else f"with {name}"]
        for title in TITLES:
            cost_us, plain_us = builds[title][name], builds[title]["a request"]
            row += [f"{cost_us:.1f}", "" if name in WHOLE else f"{cost_us - plain_us:+.1f}"]
        rows.append(row)
    headings = ["microseconds of CPU"]
    for title in TITLES:
        headings += [title, "more"]
    return table(headings, rows)


def main(
    *,
    json_: Annotated[bool, typer.Option("--json", help="this build alone, as JSON")] = False,
    update_docs: Annotated[bool, typer.Option(help=f"rewrite the table in {DOCS}")] = False,
    runs: Annotated[int, typer.Option(min=1, help="of which the best counts")] = RUNS,
) -> None:
    """What a request costs the data plane's own code, and each feature."""
    if json_:
        print(json.dumps(measure(runs)))
        return
    try:
        text = markdown(in_both("loadtest.cycle", "--json", "--runs", str(runs)))
    except RuntimeError as error:
        sys.exit(f"cycle: {error}")
    print(text)
    if update_docs:
        rewrite(DOCS, "cycle", COMMAND, f"{measured(COMMAND)}\n\n{text}")


if __name__ == "__main__":
    typer.run(main)
