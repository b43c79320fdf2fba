"""Memory per idle client connection: the proxy's tree with and without them.

The clients live in a process of their own, spread over loopback addresses 127.0.0.2 and up, so
that neither ports nor a limit per client address run out. Each connection has one request answered
and then stays. Kernel socket buffers are no part of a process and are not counted.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from loadtest.peers.contenders import MAX_CONNECTIONS, Layout, Proxy
from loadtest.peers.machine import Cores
from loadtest.peers.process import PeersError, Running, free_ports, running

WARM_CONNECTIONS: Final = 64  # first, so that what is made once is not counted
SETTLE_S: Final = 1.0  # between two looks at memory that must agree
SETTLE_BYTES: Final = 32_768
SETTLE_LOOKS: Final = 10
SPARE_FILES: Final = 512  # proxies keep two descriptors for each client, and some of their own
CLIENT_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class IdleResult:
    """Bytes of the whole tree (PSS) for each idle connection beyond the warm ones."""

    proxy: str
    connections: int
    before_bytes: int
    after_bytes: int

    @property
    def bytes_each(self) -> float:
        return (self.after_bytes - self.before_bytes) / self.connections


class Clients:
    """The process that holds the connections; they end with it."""

    def __init__(self, port: int, count: int) -> None:
        order = json.dumps({"port": port, "count": count})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "loadtest.peers.idle_clients", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def wait_open(self) -> None:
        """Until every connection has its answer. Raises PeersError with the client's reason."""
        if self._process.stdout is None:
            raise PeersError("the idle clients have no output")
        line = self._process.stdout.readline().strip()
        if line != "open":
            raise PeersError(f"idle clients: {line or 'ended without a word'}")

    def still_open(self) -> int:
        """How many connections nobody has closed, asked once; the client ends with the answer."""
        words, _ = self._process.communicate("count\n", timeout=CLIENT_TIMEOUT_S)
        return int(words.split()[-1])

    def close(self) -> None:
        if self._process.poll() is not None:
            return
        self._process.kill()
        self._process.communicate(timeout=CLIENT_TIMEOUT_S)


def measure_idle(
    proxy: Proxy,
    program: str,
    count: int,
    targets: tuple[int, ...],
    *,
    cores: Cores,
    rng: Random,
) -> IdleResult:
    """`count` connections to a freshly started proxy. Raises PeersError."""
    needed, allowed = 2 * count + SPARE_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed < needed:
        raise PeersError(f"{count:,} connections need `ulimit -n {needed}`, it is {allowed}")
    with TemporaryDirectory(prefix=f"steelyard-{proxy.name}-") as name:
        listen, admin = free_ports(2, rng)
        layout = Layout(listen, admin, targets, Path(name), max(count + 128, MAX_CONNECTIONS))
        with running(
            proxy.launch(program, layout),
            name=proxy.title,
            listen=listen,
            directory=layout.directory,
            cores=cores.proxy,
        ) as started:
            return _hold(proxy.name, started, listen, count)


def _hold(name: str, started: Running, port: int, count: int) -> IdleResult:
    warm = Clients(port, WARM_CONNECTIONS)
    try:
        warm.wait_open()
        before = _settled(started)
        clients = Clients(port, count)
        try:
            clients.wait_open()
            after = _settled(started)
            held = clients.still_open()
            if held != count:
                raise PeersError(f"{name} closed {count - held} of {count} idle connections")
        finally:
            clients.close()
    finally:
        warm.close()
    return IdleResult(name, count, before, after)


def _settled(started: Running) -> int:
    """The tree's memory once two looks agree, or the last look."""
    last = sum(started.memory_bytes().values())
    for _ in range(SETTLE_LOOKS):
        time.sleep(SETTLE_S)  # memory tells nobody that it has settled
        now = sum(started.memory_bytes().values())
        if abs(now - last) < SETTLE_BYTES:
            return now
        last = now
    return last
