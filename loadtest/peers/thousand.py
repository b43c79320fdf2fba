"""1000 requests with k6 through the balancer and through HAProxy to the same real workers.

Workers with no added work, nothing pinned: k6, proxy and workers share the machine, as they do for
a user who tries it. Rounds alternate and both proxies stay up, idle while the other is asked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from loadtest.peers.contenders import BASELINE, HOST, Launch, Layout, Proxy
from loadtest.peers.process import PeersError, free_ports, running
from loadtest.peers.scenario import PREFIX
from services.contract import (
    CLUSTER_MICRO,
    ENV_CLUSTER_NAME,
    ENV_INSTANCE_ID,
    HEALTH_PATH,
)

SCRIPT: Final = Path(__file__).with_name("thousand.js")
REQUESTS: Final = 1000
WORKERS: Final = 4
K6_TIMEOUT_S: Final = 90.0
TITLES: Final = {64: "1000 requests, 64 at once", 1000: "1000 requests, all at once"}


@dataclass(frozen=True, slots=True)
class Race:
    """One concurrency: the seconds of every clean run by proxy, and what went wrong."""

    title: str
    at_once: int
    seconds: dict[str, list[float]]
    faults: tuple[str, ...]
    ratios: dict[str, float]  # by proxy, to the baseline: medians of the rounds' own ratios


@dataclass(frozen=True, slots=True)
class Finish:
    """What k6 says of one run."""

    seconds: float
    requests: int
    wrong: int

    @property
    def fault(self) -> str | None:
        if self.requests == REQUESTS and not self.wrong:
            return None
        return f"{self.requests} of {REQUESTS} requests made, {self.wrong} not answered 200"


def find_k6() -> str:
    beside = Path(sys.executable).with_name("k6")
    program = str(beside) if beside.exists() else shutil.which("k6")
    if program is None:
        raise PeersError("k6 is missing; `make setup` installs it")
    return program


def race(
    at_once: int,
    ports: dict[str, int],
    rounds: int,
    ask: Callable[[int, int], Finish],
    on_finish: Callable[[str, Finish], None],
) -> Race:
    """Alternate over the proxies' ports; `ask(port, at_once)` makes the requests."""
    seconds: dict[str, list[float]] = {name: [] for name in ports}
    faults: list[str] = []
    ratios: dict[str, list[float]] = {}
    for port in ports.values():
        ask(port, at_once)  # pools, caches and the workers' first requests
    for round_ in range(rounds):
        clean: dict[str, float] = {}
        for name in list(ports)[:: 1 if round_ % 2 else -1]:
            finish = ask(ports[name], at_once)
            on_finish(name, finish)
            if finish.fault:
                faults.append(f"{name}, round {round_ + 1}: {finish.fault}")
            else:
                clean[name] = finish.seconds
                seconds[name].append(finish.seconds)
        for name, took_s in clean.items():
            if name != BASELINE and BASELINE in clean:
                ratios.setdefault(name, []).append(took_s / clean[BASELINE])
    return Race(
        TITLES.get(at_once, f"1000 requests, {at_once} at once"),
        at_once,
        seconds,
        tuple(faults),
        {name: median(found) for name, found in ratios.items()},
    )


def k6(program: str) -> Callable[[int, int], Finish]:
    """Ask with the k6 at `program`. Raises PeersError where k6 itself fails."""

    def ask(port: int, at_once: int) -> Finish:
        env = {**os.environ, "URL": f"http://{HOST}:{port}{PREFIX}", "VUS": str(at_once)}
        argv = [program, "run", "--quiet", "--no-usage-report", "--address=", str(SCRIPT)]
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, env=env, check=False, timeout=K6_TIMEOUT_S
            )
        except subprocess.TimeoutExpired:
            raise PeersError(f"k6 did not end within {K6_TIMEOUT_S:.0f} s") from None
        if done.returncode != 0:
            raise PeersError(f"k6 failed: {(done.stderr or done.stdout).strip()[-300:]}")
        return Finish(**json.loads(done.stdout))

    return ask


@contextmanager
def field(
    proxies: tuple[Proxy, ...], programs: dict[str, str], rng: Random
) -> Iterator[dict[str, int]]:
    """Real workers with the proxies in front; gives each proxy's port."""
    everywhere = frozenset(os.sched_getaffinity(0))
    ports: dict[str, int] = {}
    with ExitStack() as stack:
        targets = free_ports(WORKERS, rng)
        for number, port in enumerate(targets):
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="steelyard-worker-")))
            launch = _worker(number, port)
            stack.enter_context(
                running(
                    launch,
                    name=f"worker {number}",
                    listen=port,
                    directory=directory,
                    cores=everywhere,
                )
            )
        for proxy in proxies:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="steelyard-proxy-")))
            listen, admin = free_ports(2, rng)
            layout = Layout(listen, admin, tuple(targets), directory)
            launch = proxy.launch(programs[proxy.name], layout)
            stack.enter_context(
                running(
                    launch,
                    name=proxy.title,
                    listen=listen,
                    directory=directory,
                    cores=everywhere,
                )
            )
            ports[proxy.name] = listen
        yield ports


def _worker(number: int, port: int) -> Launch:
    argv = (sys.executable, "-m", "services.worker", "--host", HOST, "--port", str(port))
    env = {
        ENV_INSTANCE_ID: f"worker-{number}",
        ENV_CLUSTER_NAME: CLUSTER_MICRO,
        "LOG_REQUESTS": "0",
        "IMDS": "0",
    }
    return Launch(argv, {}, env, ready_path=HEALTH_PATH)
