"""A cluster in trouble, over real sockets: who still gets requests, and how soon who does not."""

from __future__ import annotations

import pytest

from services.balancer.ledger import TargetCell
from services.balancer.messages import Health
from tests.balancer.dataplane.stand import data_plane
from tests.stand.balancer import free_ports
from tests.stand.target import Answer, StubTarget, broken, plain


async def test_when_every_check_fails_all_targets_are_used() -> None:
    """The checks are starved, the targets are not: no reason for a 503."""
    async with StubTarget() as one, StubTarget() as two, data_plane(one, two) as stand:
        for slot, target in enumerate((one, two)):
            stand.see(target.port, slot, Health.UNHEALTHY)
        wire = await stand.connect()
        for _ in range(4):
            assert (await wire.get())[0] == 200
        assert (one.count, two.count) == (2, 2)
        assert stand.plane.clusters["c"].panicking


@pytest.mark.parametrize("answer", [plain(status="500 Oops"), broken], ids=["500", "reset"])
async def test_a_target_that_fails_requests_is_ejected(answer: Answer) -> None:
    async with StubTarget(answer) as bad, StubTarget() as good, data_plane(bad, good) as stand:
        wire = await stand.connect()
        for _ in range(10):
            await wire.get()
        assert bad.count == 5
        statuses = {(await wire.get())[0] for _ in range(20)}
        assert (statuses, bad.count) == ({200}, 5)
        target = stand.plane.clusters["c"].targets[f"c/{bad.address}"]
        target.publish()
        cells = stand.plane.ledger.target_totals(target.slot)
        assert cells[TargetCell.EJECTED] == cells[TargetCell.EJECTIONS_CONSECUTIVE] == 1
        assert target.idle == [] or answer is not broken


async def test_one_target_alone_is_used_whatever_it_does() -> None:
    async with StubTarget(plain(status="500 Oops")) as only, data_plane(only) as stand:
        wire = await stand.connect()
        assert [(await wire.get())[0] for _ in range(20)] == [500] * 20
        only.answer = plain()
        assert (await wire.get())[0] == 200


async def test_in_a_panic_the_dead_are_asked_once_only() -> None:
    (nobody,) = free_ports(1)
    async with StubTarget() as good, data_plane(nobody, good) as stand:
        for slot, port in enumerate((nobody, good.port)):
            stand.see(port, slot, Health.UNHEALTHY)
        wire = await stand.connect()
        assert [(await wire.get())[0] for _ in range(10)] == [200] * 10
        target = stand.plane.clusters["c"].targets[f"c/127.0.0.1:{nobody}"]
        assert target.failures == 1
