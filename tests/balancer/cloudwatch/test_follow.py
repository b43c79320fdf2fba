"""The whole of it in a control plane, with a service that never answers, and one that does."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.balancer.cloudwatch.follow import Following
from services.balancer.config import CloudWatch, Config
from services.balancer.fleet.attend import Fleet
from services.balancer.ledger import Ledger, ProcessCell
from tests.stand.proc import PATIENCE_S

ON = Config(cloudwatch=CloudWatch(deployment="demo", region="eu-west-1"))


class Door:
    """A service; `holes` are calls that hang until the test lets them go."""

    def __init__(self, *, hole: bool) -> None:
        self.put_data: list[dict[str, Any]] = []
        self.entered, self.release = threading.Event(), threading.Event()
        self._hole = hole

    def put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        self.entered.set()
        if self._hole:
            self.release.wait(30)
        self.put_data += data

    def cpu(self, instances: Sequence[str], now: datetime) -> Mapping[str, float]:
        return {}


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    made = Ledger.create(1)
    with closing(made):
        yield made


def empty_fleet() -> Fleet:
    return cast(Fleet, SimpleNamespace(registry=SimpleNamespace(members={}), clusters={}))


async def test_a_black_hole_holds_up_nobody(ledger: Ledger) -> None:
    door = Door(hole=True)
    try:
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            following = Following(empty_fleet(), ledger, group, Random(1), door=lambda _: door)
            following.configure(ON)
            before = time.monotonic()
            closing_it = asyncio.create_task(following.close(0.2))
            assert await asyncio.to_thread(door.entered.wait, 10)  # the loop lives meanwhile
            await closing_it
            assert time.monotonic() - before < 10
        assert door.put_data == []
    finally:
        door.release.set()


async def test_the_last_of_it_is_published_at_the_end(ledger: Ledger) -> None:
    door = Door(hole=False)
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        following = Following(empty_fleet(), ledger, group, Random(1), door=lambda _: door)
        following.configure(ON)
        await asyncio.sleep(0)  # the tally begins with what is there
        ledger.process(0)[ProcessCell.REQUESTS] += 12
        await following.close()
    assert [d["Value"] for d in door.put_data if d["MetricName"] == "Requests"] == [12]


async def test_off_it_asks_for_nothing(ledger: Ledger) -> None:
    async with asyncio.TaskGroup() as group:
        following = Following(empty_fleet(), ledger, group, Random(1), door=pytest.fail)
        following.configure(Config())
        await following.close()
