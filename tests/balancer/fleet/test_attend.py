"""The fleet follows the configuration: what did not change goes on as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

from services.balancer.config import (
    ClusterConfig,
    Config,
    FileSource,
    HealthCheck,
    Probe,
    TargetSource,
)
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import Ledger
from services.balancer.messages import Health, Message
from tests.balancer.fleet.conditions import stub_target, wait_until


class Channel:
    """A supervisor that takes everything."""

    slow = False

    def send(self, message: Message) -> bool:
        return True


@asynccontextmanager
async def running(config: Config) -> AsyncIterator[Fleet]:
    ledger = Ledger.create(rows=1)
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(ledger, Channel(), group, Random(1))
        fleet.start(config, [])
        await wait_until(lambda: fleet.first_round_done)
        yield fleet
        await fleet.close()
    ledger.close()


def config(*sources: TargetSource, health: HealthCheck | None = None) -> Config:
    cluster = ClusterConfig(
        name="c",
        targets=sources,
        health=health or HealthCheck(interval_s=0.02),
        probe=Probe(interval_s=0.02),
    )
    return Config(clusters=(cluster,))


def static(*addresses: object) -> TargetSource:
    return TargetSource(static=tuple(map(str, addresses)))


async def test_a_reload_leaves_alone_what_it_does_not_change() -> None:
    missing = TargetSource(file=FileSource(path="/nowhere/targets.yaml", interval_s=0.02))
    async with (
        stub_target() as one,
        stub_target() as two,
        running(config(static(one.address), missing)) as fleet,
    ):
        assert fleet.watches["c", "file /nowhere/targets.yaml"].error is not None
        watch = fleet.watches["c", "file /nowhere/targets.yaml"]
        member = fleet.registry.members[f"c/{one.address}"]
        connections = one.connections
        fleet.configure(config(static(one.address, two.address), missing))
        await wait_until(lambda: f"c/{two.address}" in fleet.registry.members)
        assert fleet.watches["c", "file /nowhere/targets.yaml"] is watch
        assert fleet.registry.members[f"c/{one.address}"] is member
        seen = len(one.requests)
        await wait_until(lambda: len(one.requests) > seen + 4)
        assert one.connections <= connections + 1  # a check and a probe, no new line


async def test_a_reload_changes_how_targets_are_checked() -> None:
    async with (
        stub_target() as target,
        running(config(static(target.address))) as fleet,
    ):
        member = fleet.registry.members[f"c/{target.address}"]
        assert member.state.health is Health.HEALTHY
        health = HealthCheck(path="/other", interval_s=0.02, fall=1)
        fleet.configure(config(static(target.address), health=health))
        await wait_until(lambda: member.state.health is Health.UNHEALTHY)
        assert member.check_error == "answered 404"


async def test_a_target_that_leaves_is_asked_nothing_more() -> None:
    async with (
        stub_target() as one,
        stub_target() as two,
        running(config(static(one.address, two.address))) as fleet,
    ):
        fleet.configure(config(static(two.address)))
        await wait_until(lambda: f"c/{one.address}" not in fleet.registry.members)
        await wait_until(lambda: not fleet._closing)
        asked = len(one.requests)
        seen = len(two.requests)
        await wait_until(lambda: len(two.requests) > seen + 4)
        assert len(one.requests) == asked
