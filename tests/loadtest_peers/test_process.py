"""Real programs: CPU of the whole tree is seen, nothing outlives the context."""

from __future__ import annotations

import os
import select
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from random import Random

import psutil
import pytest

from loadtest.peers.contenders import HOST, Launch
from loadtest.peers.openloop import Client, Wire, drive, percentile
from loadtest.peers.process import PeersError, free_ports, running

CORES = frozenset(os.sched_getaffinity(0))
# A server whose grandchild burns 0.3 s of CPU and is reaped before the port opens.
SERVER = """
import http.server, subprocess, sys
burn = "import time\\nwhile time.process_time() < 0.3: pass"
subprocess.run([sys.executable, "-c", burn])
sleeper = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def test_cpu_of_reaped_children_counts_and_the_tree_ends(tmp_path: Path) -> None:
    port = free_ports(1, Random(1))[0]
    launch = Launch((sys.executable, "server.py", str(port)), {"server.py": SERVER})
    with running(launch, name="x", listen=port, directory=tmp_path, cores=CORES) as started:
        tree = started.tree()
        assert len(tree) == 2
        assert started.cpu_s() > 0.28
        assert all(size > 0 for size in started.memory_bytes().values())
    assert not [p for p in tree if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def test_a_program_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    launch = Launch((sys.executable, "-c", "raise SystemExit('no such option')"), {})
    with (
        pytest.raises(PeersError, match="x ended at start: no such option"),
        running(launch, name="x", listen=1, directory=tmp_path, cores=CORES),
    ):
        pass


@pytest.fixture
def answering() -> Iterator[tuple[socket.socket, threading.Thread]]:
    """One end of a connection whose other end answers every request with three bytes."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        while theirs.recv(4096):
            theirs.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")

    thread = threading.Thread(target=serve)
    thread.start()
    yield ours, thread
    ours.close()
    thread.join(5)
    theirs.close()


def test_the_open_loop_counts_whole_answers_from_when_they_were_due(
    answering: tuple[socket.socket, threading.Thread],
) -> None:
    sock, _ = answering
    sock.setblocking(False)
    with select.epoll() as epoll:
        epoll.register(sock, select.EPOLLIN)
        wire = Wire(sock)
        client = Client(b"GET / HTTP/1.1\r\n\r\n", 3, epoll, {sock.fileno(): wire}, [wire])
        drive(client, 500.0, 0.2, Random(7))
    assert not {kind: n for kind, n in client.failures.items() if n}
    assert 50 < len(client.latencies_s) < 200
    assert all(latency > 0 for latency in client.latencies_s)


def test_percentiles_are_nearest_ranks() -> None:
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 3.0
    assert percentile([1.0], 0.999) == 1.0
    assert percentile([], 0.5) == 0.0


def test_free_ports_can_be_bound() -> None:
    for port in free_ports(3, Random(2)):
        with socket.socket() as probe:
            probe.bind((HOST, port))
