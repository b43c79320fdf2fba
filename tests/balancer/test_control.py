"""The control plane as the supervisor sees it: a real process at the end of a hub."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from services.balancer.config import ClusterConfig, Config, HealthCheck, Probe, TargetSource
from services.balancer.hub import Hub
from services.balancer.ledger import Ledger
from services.balancer.messages import (
    Configure,
    Drain,
    Health,
    Membership,
    Message,
    Probes,
    Processes,
    ProcessPicture,
    Ready,
    ReloadRequest,
    ReloadResult,
)
from services.balancer.relay import FleetPicture
from tests.balancer.fleet.conditions import StubTarget, stub_target, wait_until


class Supervisor:
    """Starts control planes, one after the other, and remembers what they say."""

    def __init__(self) -> None:
        self.ledger = Ledger.create(rows=1)
        self.admin = socket.create_server(("127.0.0.1", 0))
        self.picture = FleetPicture()
        self.heard: list[Message] = []
        self.hung_up = False
        self.hub: Hub | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self.admin.getsockname()[1]}"

    async def start(self, config: Config) -> None:
        ours, theirs = socket.socketpair()
        descriptors = {
            "--hub-fd": theirs.fileno(),
            "--ledger-fd": self.ledger.fd,
            "--admin-fd": self.admin.fileno(),
        }
        options = [part for name, fd in descriptors.items() for part in (name, str(fd))]
        self.process = subprocess.Popen(  # noqa: ASYNC220 - its pid outlives this loop
            [sys.executable, "-m", "services.balancer.control", "--rows", "1", *options],
            pass_fds=tuple(descriptors.values()),
        )
        theirs.close()
        self.heard.clear()
        self.hub = await Hub.open(ours, self.on_message, self.on_close)
        self.hub.send(Configure(config=config, version=1))
        if self.picture.known:
            for piece in self.picture.full_run():
                self.hub.send(piece)
        process = ProcessPicture(row=0, pid=1, ready=True, restarts=0)
        self.hub.send(Processes(processes=(process,)))
        await wait_until(lambda: any(isinstance(message, Ready) for message in self.heard))

    def on_message(self, message: Message) -> None:
        self.heard.append(message)
        if isinstance(message, Membership):
            self.picture.apply(message)
        if isinstance(message, ReloadRequest) and self.hub is not None:
            self.hub.send(ReloadResult(id=message.id, version=5))

    def on_close(self) -> None:
        self.hung_up = True

    def send(self, message: Message) -> None:
        assert self.hub is not None
        self.hub.send(message)

    async def wait_exit(self) -> int:
        process = self.process
        assert process is not None
        await wait_until(lambda: process.poll() is not None)
        return process.wait()

    async def get(self, path: str) -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.get(self.url + path)).json()

    async def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.hub is not None:
            self.hub.abort()
            await wait_until(lambda: self.hub is not None and self.hub._closed)
        self.admin.close()
        self.ledger.close()


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    await supervisor.close()


def config(*targets: StubTarget) -> Config:
    cluster = ClusterConfig(
        name="c",
        targets=(TargetSource(static=tuple(str(target.address) for target in targets)),),
        health=HealthCheck(interval_s=0.05),
        probe=Probe(interval_s=0.05),
    )
    return Config(clusters=(cluster,))


async def test_a_life_of_two_control_planes(supervisor: Supervisor) -> None:
    async with stub_target() as one, stub_target() as two:
        await supervisor.start(config(one, two))
        picture = supervisor.picture
        await wait_until(
            lambda: {target.health for target in picture.targets.values()} == {Health.HEALTHY}
        )
        await wait_until(lambda: any(isinstance(m, Probes) for m in supervisor.heard))
        ready = await supervisor.get("/readyz")
        assert ready == {"status": "ready"}

        target_id = f"c/{one.address}"
        async with httpx.AsyncClient() as client:
            await client.post(f"{supervisor.url}/api/targets/{target_id}/drain")
            reload = await client.post(f"{supervisor.url}/api/reload")
        assert reload.json() == {"version": 5, "problems": []}
        await wait_until(lambda: picture.targets[target_id].draining)
        before = dict(picture.targets)

        assert supervisor.process is not None
        supervisor.process.kill()
        await supervisor.wait_exit()
        await wait_until(lambda: supervisor.hung_up)
        await supervisor.start(config(one, two))
        await wait_until(
            lambda: any(isinstance(m, Membership) and m.full for m in supervisor.heard)
        )
        assert picture.targets == before  # slots, health and the drain flag
        told = [m for m in supervisor.heard if isinstance(m, Membership)]
        assert all(upsert == before[upsert.id] for m in told for upsert in m.upserts)

        two.answers["/readyz"] = (503, b"")
        other = f"c/{two.address}"
        await wait_until(lambda: picture.targets[other].health is Health.UNHEALTHY)

        supervisor.send(Configure(config=config(two), version=2))
        await wait_until(lambda: set(picture.targets) == {other})
        assert picture.targets[other].slot == before[other].slot
        assert (await supervisor.get("/api/config"))["version"] == 2

        os.kill(supervisor.process.pid, signal.SIGTERM)  # ignored: the supervisor says when
        assert (await supervisor.get("/healthz")) == {"status": "ok"}
        supervisor.send(Drain(deadline_s=1.0))
        assert await supervisor.wait_exit() == 0


async def test_it_ends_with_its_supervisor(supervisor: Supervisor) -> None:
    async with stub_target() as target:
        await supervisor.start(config(target))
        assert supervisor.hub is not None
        supervisor.hub.abort()
        assert await supervisor.wait_exit() == 0


async def test_a_supervisor_that_says_nothing_sensible_is_left(supervisor: Supervisor) -> None:
    """The hub closes before the first words: nothing to serve, no traceback, exit 0."""
    ours, theirs = socket.socketpair()
    descriptors = (theirs.fileno(), supervisor.ledger.fd, supervisor.admin.fileno())
    names = ("--hub-fd", "--ledger-fd", "--admin-fd")
    options = [part for pair in zip(names, map(str, descriptors), strict=True) for part in pair]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.balancer.control", "--rows", "1", *options),
        pass_fds=descriptors,
        stderr=subprocess.PIPE,
    )
    theirs.close()
    ours.close()
    _, errors = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in errors
