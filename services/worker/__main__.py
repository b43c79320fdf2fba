"""Wiring: read the settings, find out who I am, bind, serve, drain.

Exit codes: 0 after a drain, 2 for a mistake in arguments or environment, 1 when the port is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import resource
import socket
import sys
import time
from random import Random

import uvicorn

from services.contract import WORKER_PORT
from services.worker.app import make_app
from services.worker.cloudwatch import Api, CpuPublisher, dimensions
from services.worker.connection import bounded_connection
from services.worker.cpu import CpuGauge, CpuSource, ModelCpu, find_cpu_source
from services.worker.drain import DrainingServer
from services.worker.identity import Identity, find_identity
from services.worker.limits import BodyLimit
from services.worker.load_report import LoadReport
from services.worker.log import EventHandler, LineLog
from services.worker.machine import Machine
from services.worker.observe import Observe
from services.worker.service import Service
from services.worker.settings import Settings, SettingsError, describe, machine_type, read_settings
from services.worker.shortcut import Shortcut
from services.worker.work import ModelledWork, RealWork, Work

BACKLOG = 2048
SPARE_DESCRIPTORS = 64


def main() -> int:
    """Run one worker until a signal ends it. Returns the exit code."""
    arguments = _arguments()
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        for problem in error.problems:
            print(f"worker: {problem}", file=sys.stderr)
        return 2
    try:
        listener = _bind(arguments.host, arguments.port)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error
        print(
            f"worker: cannot listen on {arguments.host}:{arguments.port}: {reason}", file=sys.stderr
        )
        return 1
    _allow_descriptors(settings.max_connections)
    log = LineLog()
    try:
        with asyncio.Runner(loop_factory=_new_loop) as runner:
            runner.run(_serve(settings, listener, log))
    except KeyboardInterrupt:
        pass  # Ctrl-C before the server had its own handler
    finally:
        log.close()
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m services.worker",
        description="The worker service of Steelyard.",
        epilog="environment:\n" + describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=WORKER_PORT, help="0: any free port")
    return parser.parse_args()


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a port from 0 to 65535, got {text!r}")
    return int(text)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


def _allow_descriptors(connections: int) -> None:
    """Raise the soft limit of open files to what the connections need, as far as allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < needed:
        most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):  # then accept() meets the old limit
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop  # noqa: PLC0415 - only here is it needed, and only on the platforms that have it

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def _machine(settings: Settings, now_s: float) -> tuple[Work, CpuSource | None, str]:
    """Return how work is done, where CPU is measured, and what the machine is called."""
    if settings.work_mode == "cpu":
        return RealWork(settings.work_threads), find_cpu_source(), "real"
    kind = machine_type(settings)
    credits = settings.machine_credits if settings.machine_credits >= 0 else None
    machine = Machine(kind, now_s, credits)
    return ModelledWork(machine), ModelCpu(machine, now_s), kind.name


def _publisher(
    settings: Settings, identity: Identity, gauge: CpuGauge, log: LineLog
) -> CpuPublisher | None:
    """Return what tells CloudWatch; None when nobody asked for it."""
    if not settings.cloudwatch:
        return None
    return CpuPublisher(
        gauge,
        Api(settings.region),
        whose=dimensions(settings.cloudwatch, identity.cluster, identity.instance_id),
        interval_s=settings.cloudwatch_interval_s,
        log=log,
        rng=Random(),
    )


async def _serve(settings: Settings, listener: socket.socket, log: LineLog) -> None:
    loop = asyncio.get_running_loop()
    log.attach(loop.call_later)
    logging.getLogger().addHandler(EventHandler(log))  # warnings and errors of every library

    now_s = time.monotonic()
    identity = find_identity(settings)
    work, cpu, machine = _machine(settings, now_s)
    report = LoadReport(now_s, CpuGauge(cpu))
    service = Service(
        settings=settings,
        identity=identity,
        report=report,
        work=work,
        machine=machine,
        log=log,
        ready=lambda: server.drain.ready,
    )
    outermost = Observe(
        BodyLimit(Shortcut(make_app(service), service), settings.max_body_bytes),
        report=report,
        identity=identity,
        log=log if settings.log_requests != "0" else None,
        log_uncounted=settings.log_requests == "all",
        max_pending=settings.max_pending,
    )
    config = uvicorn.Config(
        outermost,
        http=bounded_connection(settings.max_head_bytes, settings.head_timeout_s),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=settings.max_connections,
        backlog=BACKLOG,
        timeout_keep_alive=settings.keep_alive_s,
    )
    server = DrainingServer(
        config, notice_s=settings.drain_notice_s, grace_s=settings.grace_s, log=log
    )
    host, port = listener.getsockname()[:2]
    log.event(
        "listening",
        host=host,
        port=port,
        pid=os.getpid(),
        instance=identity.instance_id,
        cluster=identity.cluster,
        work_mode=settings.work_mode,
        machine=machine,
        cpu_source=report.cpu.source,
    )
    publisher = _publisher(settings, identity, CpuGauge(cpu), log)
    publishing = None if publisher is None else asyncio.create_task(publisher.run())
    await server.serve(sockets=[listener])
    if publisher is not None and publishing is not None:
        publishing.cancel()
        await asyncio.wait({publishing})
        await publisher.close()
    log.event("stopped", requests=report.total, cut=outermost.cut, log_lines_dropped=log.dropped)
    log.detach()


if __name__ == "__main__":
    sys.exit(main())
