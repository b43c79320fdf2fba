"""The local cloud's own process: the API, the metadata service, and what moves by itself.

    python -m orchestrator.localcloud --state FOLDER --image NAME:TAG --region eu-west-1 --scale 20

Everything it knows is in its memory; when it ends, its containers go with it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Final

import docker
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from orchestrator.engine import EngineError, connected
from orchestrator.localcloud.addresses import real_addresses
from orchestrator.localcloud.alarms import alarms_begin_unknown
from orchestrator.localcloud.commands import real_commands
from orchestrator.localcloud.console import real_consoles
from orchestrator.localcloud.containers import (
    API_PORT,
    IMDS_PORT,
    Containers,
    make_network,
    name_of,
    remove_all,
)
from orchestrator.localcloud.doors import opened
from orchestrator.localcloud.ecr import real_images
from orchestrator.localcloud.fronts import ProxyContainers, active_when_answering, fronts
from orchestrator.localcloud.gaps import filled
from orchestrator.localcloud.group_calls import real_groups
from orchestrator.localcloud.imds import Imds
from orchestrator.localcloud.instances import real_instances
from orchestrator.localcloud.metadata import tree_of
from orchestrator.localcloud.metric_data import real_metric_data
from orchestrator.localcloud.registry import Registry
from orchestrator.localcloud.standing import FILE, Standing
from orchestrator.localcloud.steps import STEPS
from orchestrator.localcloud.targets import real_target_health
from orchestrator.localcloud.world import Clock, Step, World

TICK_S: Final = 0.5
IDLE_S: Final = 1800.0  # without a machine and without a call
log = logging.getLogger("local-cloud")


def serve(folder: Path, image: str, region: str, scale: float) -> None:
    """Until SIGTERM or SIGINT, or nothing has happened for long. Raises EngineError."""
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with connected() as engine:
        owner = name_of(folder)
        remove_all(engine, owner)  # of a predecessor that could not do it
        try:
            with _cloud(engine, owner, image, region, scale) as (world, api, steps):
                host, port = api.address
                standing = Standing(os.getpid(), f"http://{host}:{port}", region, scale, image)
                _write(folder / FILE, standing)
                log.info("ready: %s", standing)
                _tick(world, steps, api, ended)
        finally:
            with suppress(FileNotFoundError):
                (folder / FILE).unlink()
            remove_all(engine, owner)
            log.info("ended")


class Api:
    """moto's server on several addresses; one call at a time, never beside a step."""

    def __init__(self, world: World) -> None:
        self._app = opened(world, DomainDispatcherApplication(create_backend_app))
        self._world = world
        self._servers: list[BaseWSGIServer] = []
        self.last_call = time.monotonic()

    def listen(self, host: str, port: int) -> None:
        """Serve there, too."""
        server = make_server(host, port, self._answer, threaded=True, request_handler=_Quiet)
        self._servers.append(server)
        threading.Thread(target=server.serve_forever, name=f"api {host}", daemon=True).start()

    @property
    def address(self) -> tuple[str, int]:
        """The first one's."""
        host, port = self._servers[0].server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.last_call = time.monotonic()
        with self._world.lock:
            return list(self._app(environ, start_response))


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_request(self, *_: Any) -> None:
        """Say nothing: a deployment asks a thousand times."""


@contextmanager
def _cloud(
    engine: docker.DockerClient, owner: str, image: str, region: str, scale: float
) -> Iterator[tuple[World, Api, tuple[Step, ...]]]:
    network = make_network(engine, owner)
    registry = Registry(engine, image, network, region)
    machines = Containers(
        engine,
        image,
        network,
        hosts={registry.host: registry.address},
        files={f"/etc/docker/certs.d/{registry.host}/ca.crt": registry.certificate},
    )
    world = World(machines=machines, clock=Clock(scale), region=region, report=log.info)
    api = Api(world)
    with ExitStack() as stack:
        stack.callback(registry.close)
        # From the last line up: nothing new, scripts end with their machines, a late start ends.
        stack.callback(world.pool.shutdown)
        stack.callback(remove_all, engine, owner)
        stack.callback(world.pool.shutdown, wait=False, cancel_futures=True)
        for patches in (
            filled(),
            real_instances(world),
            real_groups(world),
            real_target_health(world),
            real_metric_data(),
            alarms_begin_unknown(),
            active_when_answering(),
            real_addresses(world, network.elastic),
            real_commands(world),
            real_consoles(world),
            real_images(world, registry),
        ):
            stack.enter_context(patches)
        imds = Imds(network.gateway, IMDS_PORT, partial(tree_of, world))
        stack.callback(imds.close)
        stack.callback(api.close)
        api.listen("127.0.0.1", 0)
        api.listen(network.gateway, API_PORT)
        run_fronts = fronts(ProxyContainers(engine, image, network))
        yield world, api, (*STEPS, run_fronts)


def _tick(world: World, steps: Iterable[Step], api: Api, ended: threading.Event) -> None:
    while not ended.wait(TICK_S):
        for step in steps:
            try:
                with world.lock:
                    step(world)
            except EngineError as error:
                log.warning("%s: %s", step.__name__, error)
            except Exception:  # one step's mistake must not stop the clock for the others
                log.exception("%s failed", step.__name__)
        if time.monotonic() - api.last_call > IDLE_S and not world.machines.running():
            log.info("nothing has happened for %g s", IDLE_S)
            return


def _write(path: Path, standing: Standing) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = path.with_suffix(".new")
    whole.write_text(json.dumps(asdict(standing)) + "\n")
    whole.replace(path)
