"""Four targets that cost next to nothing: one nginx worker that answers on four ports.

They must not be what is measured, so there is no application in them. `/readyz` and `/load` are
there for balancers that check health and ask for load reports.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from loadtest.peers.contenders import HOST, Launch
from loadtest.peers.process import PeersError, free_ports, running
from loadtest.peers.scenario import KIB, PREFIX, SMALL_BODY

COUNT: Final = 4
LOAD_REPORT: Final = '{"pending": 0, "latency_ms": 0.1, "cpu": 0.0, "steal": 0.0}'


def render(program: str, ports: list[int], directory: Path) -> Launch:
    """nginx's configuration; the answers are in memory or in the page cache."""
    listens = "\n".join(f"        listen {HOST}:{port} backlog=4096;" for port in ports)
    text = f"""\
daemon off;
worker_processes 1;
worker_rlimit_nofile 16384;
pid nginx.pid;
error_log stderr crit;
events {{
    worker_connections 8192;
    multi_accept on;
}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 100000000;
    keepalive_timeout 75s;
    sendfile on;
    open_file_cache max=16;
    default_type application/json;
    server {{
{listens}
        root {directory}/www;
        location {PREFIX} {{
            return 200 '{SMALL_BODY.decode().strip()}\\n';
        }}
        location {PREFIX}/16k {{ }}
        location {PREFIX}/1m {{ }}
        location = /readyz {{
            return 200 '{{"ready": true}}';
        }}
        location = /load {{
            return 200 '{LOAD_REPORT}';
        }}
    }}
}}
"""
    argv = (program, "-p", str(directory), "-c", "nginx.conf", "-e", "stderr")
    return Launch(argv, {"nginx.conf": text}, ready_path="/readyz")


@contextmanager
def serving(cores: frozenset[int], rng: Random) -> Iterator[tuple[int, ...]]:
    """Start the targets and give their ports. Raises PeersError."""
    program = shutil.which("nginx")
    if program is None:
        raise PeersError("nginx is missing; it serves the targets (Debian: nginx)")
    with TemporaryDirectory(prefix="steelyard-targets-") as name:
        directory = Path(name)
        files = directory / "www" / PREFIX.strip("/")
        files.mkdir(parents=True)
        (files / "16k").write_bytes(b"k" * (16 * KIB))
        (files / "1m").write_bytes(b"m" * (1024 * KIB))
        ports = free_ports(COUNT, rng)
        launch = render(program, ports, directory)
        with running(launch, name="targets", listen=ports[0], directory=directory, cores=cores):
            yield tuple(ports)
