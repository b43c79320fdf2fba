"""No descriptor left: what the client is told, what targets are not blamed for, what is let go."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from typing import Any

from services.balancer.ledger import TargetCell
from tests.balancer.dataplane.stand import Stand, data_plane
from tests.stand.target import StubTarget


class StarvedLoop:
    """The loop, whose next `fails` connections fail for want of a descriptor."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fails: int, number: int) -> None:
        self._loop = loop
        self._number = number
        self.fails = fails

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    async def create_connection(self, *arguments: Any, **named: Any) -> Any:
        if self.fails > 0:
            self.fails -= 1
            raise OSError(self._number, os.strerror(self._number))
        return await self._loop.create_connection(*arguments, **named)


def starve(stand: Stand, fails: int, number: int = errno.EMFILE) -> StarvedLoop:
    loop = StarvedLoop(stand.plane.loop, fails, number)
    stand.plane.loop = loop  # type: ignore[assignment] # by shape
    return loop


async def test_no_descriptor_is_no_targets_fault() -> None:
    async with StubTarget() as one, StubTarget() as two, data_plane(one, two) as stand:
        for number in (errno.EMFILE, errno.EADDRNOTAVAIL):
            loop = starve(stand, 1000, number)
            wire = await stand.connect()
            for _ in range(10):
                status, _, body = await wire.get()
                assert status == 503
                assert json.loads(body)["error"]["code"] == "out_of_descriptors"
            loop.fails = 0
        targets = stand.plane.clusters["c"].targets.values()
        assert [target.failures for target in targets] == [0, 0]
        assert sum(target.counts[TargetCell.STARVED] for target in targets) > 0
        assert not any(target.counts[TargetCell.CONNECT_FAILURES] for target in targets)
        assert [(await wire.get())[0] for _ in range(4)] == [200] * 4
        assert (one.count, two.count) == (2, 2)  # nobody is ejected


async def test_a_pooled_connection_is_let_go_for_one_that_is_needed() -> None:
    async with StubTarget() as one, StubTarget() as two, data_plane(one, two) as stand:
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        first, second = stand.plane.clusters["c"].targets.values()
        assert (len(first.idle), len(second.idle)) in ((1, 0), (0, 1))
        loop = starve(stand, 1)
        assert (await wire.get())[0] == 200
        assert loop.fails == 0
        assert (one.count, two.count) == (1, 1)
        assert len(first.idle) + len(second.idle) == 1
