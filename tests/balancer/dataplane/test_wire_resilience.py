"""A cluster in trouble, over real sockets: who still gets requests, and how soon who does not."""

from __future__ import annotations

from services.balancer.messages import Health
from tests.balancer.dataplane.stand import data_plane
from tests.stand.target import StubTarget


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
