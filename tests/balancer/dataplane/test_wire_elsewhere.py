"""Several balancers: what the others have told of their pending requests sways the choice."""

from __future__ import annotations

import dataclasses

from services.balancer.config import Balancers, PolicySpec
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.target import StubTarget, plain

TOLD = dataclasses.replace(
    configuration(cluster={"policy": PolicySpec(name="least_pending")}),
    balancers=Balancers(listen="127.0.0.1:9901"),
)


async def test_requests_go_where_other_balancers_have_less() -> None:
    """From the first on, and no longer once a reload has ended it."""
    async with (
        StubTarget(plain(b"1")) as one,
        StubTarget(plain(b"2")) as two,
        data_plane(one, two, config=TOLD) as stand,
    ):
        elsewhere = stand.plane.ledger.elsewhere()
        elsewhere[0] = 3  # the slot of the first
        wire = await stand.connect()
        assert {(await wire.get())[2] for _ in range(20)} == {b"2"}
        stand.plane.configure(dataclasses.replace(TOLD, balancers=Balancers()))
        assert {(await wire.get())[2] for _ in range(20)} == {b"1", b"2"}
        stand.plane.configure(TOLD)
        assert {(await wire.get())[2] for _ in range(20)} == {b"2"}
