"""The fleet follows the configuration: what did not change goes on as it was."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

from services.balancer.config import (
    Balancers,
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


class Follower:
    """Remembers which target has which slot."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}

    def joined(self, target_id: str, slot: int) -> None:
        self.slots[target_id] = slot

    def left(self, target_id: str, slot: int) -> None:
        assert self.slots.pop(target_id) == slot


@asynccontextmanager
async def running(config: Config, *followers: Follower) -> AsyncIterator[Fleet]:
    ledger = Ledger.create(rows=1)
    async with asyncio.TaskGroup() as group:
        fleet = Fleet(ledger, Channel(), group, Random(1), followers=followers)
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


async def test_followers_hear_who_has_which_slot() -> None:
    follower = Follower()
    async with (
        stub_target() as one,
        stub_target() as two,
        running(config(static(one.address, two.address)), follower) as fleet,
    ):
        members = fleet.registry.members
        assert follower.slots == {target_id: m.slot for target_id, m in members.items()}
        assert len(follower.slots) == 2
        fleet.configure(config(static(two.address)))
        await wait_until(lambda: list(follower.slots) == [f"c/{two.address}"])


async def test_other_peers_are_no_reason_to_ask_for_targets_again() -> None:
    async with stub_target() as one, running(config(static(one.address))) as fleet:
        watch = fleet.watches["c", "static"]
        peers = Balancers(listen="127.0.0.1:9901", peers=(static("127.0.0.1:9902"),))
        fleet.configure(replace(config(static(one.address)), balancers=peers))
        assert fleet.watches["c", "static"] is watch
        cut = Balancers(count=2, index=1)
        fleet.configure(replace(config(static(one.address)), balancers=cut))
        assert fleet.watches["c", "static"] is not watch


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
