"""What it costs that balancers tell each other what they have pending, and how old the news is.

    python -m loadtest.news --peers 3,19 --targets 8,100,1000
    python -m loadtest.news --update-docs      # the table in docs/benchmarks.md

On loopback, and without requests: this process writes into the shared memory of every balancer what
its data planes would, so many requests a second, each pending for a while. Two balancers have a
process of their own; the CPU of the first is what a control plane spends. The age of the news is
the time from a change in the memory of the first to the changed cell in that of the second.
"""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Any, Final

import typer

from loadtest.page import measured, rewrite, table
from loadtest.telling import HOST
from services.balancer.ledger import Ledger

ROWS: Final = 2  # data-plane processes of a balancer
HELD_S: Final = 0.02  # how long a request is pending
WARM_S: Final = 1.5
READY_S: Final = 20.0
STEP_S: Final = 0.0003
LOST_S: Final = 2.0  # a mark that is not seen by then counts with that age
DOCS: Final = Path("docs/benchmarks.md")
COMMAND: Final = "python -m loadtest.news --update-docs"


@dataclass(frozen=True, slots=True)
class Cost:
    """One cell of the table. `cpu`: share of one core, the whole process."""

    peers: int
    targets: int
    cpu: float
    interval_ms: float
    age_p50_ms: float
    age_p99_ms: float
    sent_per_s: float
    taken_per_s: float


class _Process:
    """Some balancers in one process of their own."""

    def __init__(self, ledgers: list[Ledger], ports: list[int], everybody: list[int], targets: int):
        fds = [ledger.fd for ledger in ledgers]
        plan = {
            "ledgers": fds,
            "rows": ROWS,
            "ports": ports,
            "everybody": everybody,
            "targets": targets,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.telling", json.dumps(plan)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            pass_fds=fds,
        )

    def ask(self) -> dict[str, Any]:
        """What it has spent and told. Raises RuntimeError when it is gone."""
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("no pipe")
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            said: dict[str, Any] = json.loads(self._process.stdout.readline())
        except (OSError, ValueError) as error:
            raise RuntimeError("a process of balancers has ended") from error
        return said

    def close(self) -> None:
        """It ends when it is spoken to no more."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=5)
        self._process.kill()
        self._process.wait()


class Traffic:
    """What the data planes of all balancers would write: requests that come and go."""

    def __init__(self, ledgers: list[Ledger], targets: int, rate: float, rng: Random) -> None:
        self._rows = [[ledger.pending(row) for row in range(ROWS)] for ledger in ledgers]
        self._targets = targets
        self._rate = rate * len(ledgers)
        self._rng = rng
        self._held: deque[tuple[float, memoryview, int]] = deque()
        self._due = 0.0
        self._then: float | None = None

    def step(self, now: float) -> None:
        """Everything that is due by `now`."""
        self._due += 0.0 if self._then is None else (now - self._then) * self._rate
        self._then = now
        while self._held and self._held[0][0] <= now:
            _, row, slot = self._held.popleft()
            row[slot] -= 1
        while self._due >= 1.0:
            self._due -= 1.0
            row = self._rng.choice(self._rng.choice(self._rows))
            slot = self._rng.randrange(self._targets)
            row[slot] += 1
            self._held.append((now + HELD_S, row, slot))

    def close(self) -> None:
        """Let go of the ledgers."""
        self._held.clear()
        for rows in self._rows:
            for row in rows:
                row.release()


class Marks:
    """Changes of one cell of the first balancer, looked for in the second's."""

    def __init__(self, first: Ledger, second: Ledger, slot: int, rng: Random) -> None:
        self.ages_s: list[float] = []
        self._written, self._read = first.pending(0), second.elsewhere()
        self._slot = slot
        self._rng = rng
        self._since: float | None = None
        self._next = 0.0

    def step(self, now: float) -> None:
        """Look, or write the next mark."""
        if self._since is None:
            if now >= self._next:
                self._written[self._slot] += 1
                self._since = now
        elif self._read[self._slot] == self._written[self._slot] or now - self._since > LOST_S:
            self.ages_s.append(now - self._since)
            self._since = None
            self._next = now + self._rng.uniform(0.005, 0.025)

    def close(self) -> None:
        """Let go of the ledgers."""
        self._written.release()
        self._read.release()


def free_ports(count: int) -> list[int]:
    """UDP ports that nobody has now."""
    socks = [socket.socket(type=socket.SOCK_DGRAM) for _ in range(count)]
    with contextlib.ExitStack() as stack:
        for sock in socks:
            stack.enter_context(sock).bind((HOST, 0))
        return [sock.getsockname()[1] for sock in socks]


@contextlib.contextmanager
def _ledgers(count: int) -> Iterator[list[Ledger]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Ledger.create(ROWS))) for _ in range(count)]


def measure(
    peers: int, targets: int, rate: float, seconds: float, *, warm_s: float = WARM_S
) -> Cost:
    """Balancers that have `peers` others each, before `targets`. Raises RuntimeError."""
    rng = Random(1)
    ports = free_ports(peers + 1)
    with _ledgers(peers + 1) as ledgers, contextlib.ExitStack() as stack:
        processes = [
            _Process(ledgers[part], ports[part], ports, targets + 1)
            for part in (slice(0, 1), slice(1, 2), slice(2, None))
            if ports[part]
        ]
        for process in processes:
            stack.callback(process.close)
        traffic = Traffic(ledgers, targets, rate, rng)
        stack.callback(traffic.close)
        marks = Marks(ledgers[0], ledgers[1], targets, rng)
        stack.callback(marks.close)
        deadline = time.monotonic() + READY_S
        while any(process.ask()["known"] < peers for process in processes):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{peers} peers did not find each other in {READY_S:.0f} s")
            time.sleep(0.05)  # other processes, which tell when they are asked
        _spend(warm_s, traffic, marks)
        marks.ages_s.clear()
        before = processes[0].ask()
        took_s = _spend(seconds, traffic, marks)
        after = processes[0].ask()
    ages_ms = sorted(age_s * 1e3 for age_s in marks.ages_s)
    return Cost(
        peers,
        targets,
        (after["cpu_s"] - before["cpu_s"]) / took_s,
        1e3 * took_s / max(1, after["rounds"] - before["rounds"]),
        statistics.median(ages_ms),
        ages_ms[int(0.99 * len(ages_ms))],
        (after["sent"] - before["sent"]) / took_s,
        (after["taken"] - before["taken"]) / took_s,
    )


def _spend(seconds: float, traffic: Traffic, marks: Marks) -> float:
    began = time.monotonic()
    while (now := time.monotonic()) < began + seconds:
        traffic.step(now)
        marks.step(now)
        time.sleep(STEP_S)  # a data plane does not spin either
    return now - began


def markdown(costs: list[Cost], rate: float) -> str:
    """The table, and what it was made under."""
    headings = ["other balancers", "targets", "CPU of a control plane", "interval, ms"]
    headings += ["age p50, ms", "age p99, ms", "datagrams out a second", "in a second"]
    rows = [
        [
            str(c.peers),
            f"{c.targets:,}",
            f"{100 * c.cpu:.1f} %",
            f"{c.interval_ms:.1f}",
            f"{c.age_p50_ms:.1f}",
            f"{c.age_p99_ms:.1f}",
            f"{c.sent_per_s:,.0f}",
            f"{c.taken_per_s:,.0f}",
        ]
        for c in costs
    ]
    return (
        f"{measured(COMMAND)} {rate:,.0f} requests a second through each balancer, each pending "
        f"for {HELD_S * 1e3:.0f} ms, {ROWS} data-plane processes.\n\n{table(headings, rows)}"
    )


def main(
    *,
    peers: Annotated[str, typer.Option(help="other balancers, comma-separated")] = "1,3,19",
    targets: Annotated[str, typer.Option(help="targets, comma-separated")] = "8,100,1000",
    rate: Annotated[float, typer.Option(help="requests a second through each balancer")] = 1_000,
    seconds: Annotated[float, typer.Option(help="of each measurement", max=30)] = 3.0,
    as_json: Annotated[bool, typer.Option("--json", help="figures for a program")] = False,
    update_docs: Annotated[bool, typer.Option(help=f"rewrite the table in {DOCS}")] = False,
) -> None:
    """What news between balancers costs, and how old it is."""
    costs: list[Cost] = []
    try:
        for others in map(int, peers.split(",")):
            for count in map(int, targets.split(",")):
                costs.append(measure(others, count, rate, seconds))
                print(f"{costs[-1]}", file=sys.stderr)
    except (RuntimeError, ValueError) as error:
        sys.exit(f"news: {error}")
    text = markdown(costs, rate)
    print(json.dumps([asdict(cost) for cost in costs]) if as_json else text)
    if update_docs:
        rewrite(DOCS, "news", COMMAND, text)


if __name__ == "__main__":
    typer.run(main)
