"""One call for all sources of a region, when it is made, and what an error does."""

from __future__ import annotations

import asyncio
import threading
from random import Random

import pytest

from services.balancer.fleet.discover import DiscoveryError
from services.balancer.fleet.discover.region import MAX_PAUSE_S, Instance, Region, Tags

ONE = Instance("i-1", "10.0.0.1", None, {"a": "1"}, None)


class Cloud:
    """Answers as told; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Tags, ...]] = []
        self.error: str | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.now = 0.0

    def __call__(self, wants: tuple[Tags, ...]) -> list[Instance]:
        self.asked.append(wants)
        assert self.gate.wait(10)
        if self.error is not None:
            raise DiscoveryError(self.error)
        return [ONE]


def region(cloud: Cloud, timeout_s: float = 10.0) -> Region:
    made = Region(cloud, rng=Random(1), clock=lambda: cloud.now, timeout_s=timeout_s)
    made.want([{"a": "1"}])
    return made


async def test_one_call_serves_all_who_ask_within_an_interval() -> None:
    cloud = Cloud()
    asked = region(cloud)
    answers = await asyncio.gather(*(asked.instances(10) for _ in range(8)))
    assert answers == [(ONE,)] * 8
    cloud.now = 8.9
    await asked.instances(10)
    assert len(cloud.asked) == 1
    cloud.now = 10.0
    await asyncio.gather(*(asked.instances(10) for _ in range(8)))
    assert len(cloud.asked) == 2


async def test_a_new_want_is_asked_for_at_once() -> None:
    cloud = Cloud()
    asked = region(cloud)
    await asked.instances(10)
    asked.want([{"a": "1"}, {"a": "2"}])
    await asked.instances(10)
    assert cloud.asked[1] == ({"a": "1"}, {"a": "2"})


async def test_errors_rest_longer_and_longer_and_end() -> None:
    cloud = Cloud()
    asked = region(cloud)
    cloud.error = "RequestLimitExceeded"
    pauses = []
    for _ in range(12):
        before, began = len(cloud.asked), cloud.now
        while len(cloud.asked) == before:
            with pytest.raises(DiscoveryError, match="RequestLimitExceeded"):
                await asked.instances(10)
            cloud.now += 1
        pauses.append(cloud.now - began)
    assert pauses[1] <= 11
    assert pauses[2] > 10
    assert MAX_PAUSE_S / 2 <= max(pauses[5:]) <= MAX_PAUSE_S + 1
    assert len(set(pauses[5:])) > 1  # by chance
    cloud.error = None
    cloud.now += MAX_PAUSE_S
    assert await asked.instances(10) == (ONE,)
    cloud.error = "again"
    cloud.now += 10
    with pytest.raises(DiscoveryError, match="again"):
        await asked.instances(10)
    cloud.error = None
    cloud.now += 10  # the first error after a success rests an interval at most
    assert await asked.instances(10) == (ONE,)


async def test_a_hanging_call_is_made_once() -> None:
    cloud = Cloud()
    cloud.gate.clear()
    asked = region(cloud, timeout_s=0.01)
    for _ in range(3):
        with pytest.raises(DiscoveryError, match="no answer within"):
            await asked.instances(10)
    assert len(cloud.asked) == 1
    cloud.gate.set()
    patient = asyncio.create_task(asked.instances(10))
    assert await patient == (ONE,)


async def test_who_gives_up_waiting_spoils_it_for_nobody() -> None:
    cloud = Cloud()
    cloud.gate.clear()
    asked = region(cloud)
    leaver, stayer = (asyncio.create_task(asked.instances(10)) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    cloud.gate.set()
    assert await stayer == (ONE,)
    assert len(cloud.asked) == 1
