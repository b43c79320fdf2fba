from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

import pytest

from loadtest.cpu import AdminCpu, CpuReading, CpuRecord, CpuUnreadable, ProcessCpu, cpu_shares
from tests.loadtest.stub import Stub, serving


class Counted:
    words = "made up"

    def __init__(self, fail_after: int = 10**9) -> None:
        self.looks = 0
        self.fail_after = fail_after
        self.looked = asyncio.Event()

    async def read(self) -> Mapping[str, float]:
        self.looks += 1
        if self.looks > self.fail_after:
            raise CpuUnreadable("gone")
        if self.looks == 3:
            self.looked.set()
        return {"t": self.looks / 100}


async def test_a_record_looks_at_once_and_at_the_end() -> None:
    record = CpuRecord(source := Counted())
    async with record.during(interval_s=0.001):
        await asyncio.wait_for(source.looked.wait(), timeout=5)
    assert [reading.share for reading in record.readings[:2]] == [0.01, 0.02]
    assert len(record.readings) == source.looks >= 4


async def test_a_source_that_fails_is_named_and_left_alone() -> None:
    record = CpuRecord(source := Counted(fail_after=1))
    async with record.during(interval_s=0):
        for _ in range(10):
            await asyncio.sleep(0)
    assert (record.trouble, source.looks, len(record.readings)) == ("gone", 2, 1)


async def test_no_source_is_no_readings() -> None:
    record = CpuRecord(None)
    async with record.during(interval_s=0):
        pass
    assert record.readings == list[CpuReading]()


async def test_processes_are_measured_between_two_looks() -> None:
    source = ProcessCpu({"me": os.getpid(), "gone": 2**22 + 1})
    assert await source.read() == {}
    sum(range(2_000_000))
    shares = await source.read()
    assert set(shares) == {"me"}
    assert shares["me"] > 0


async def test_an_admin_api_that_is_not_one_is_unreadable() -> None:
    async with serving(Stub(status=lambda path, rng: 404)) as stub:
        with pytest.raises(CpuUnreadable, match="404"):
            await AdminCpu(stub.url).read()
    with pytest.raises(CpuUnreadable):
        await AdminCpu(stub.url).read()


def test_shares_are_read_from_the_admin_api() -> None:
    targets = [
        {"id": "cluster1/127.0.0.1:9101", "instance_id": "micro-1", "probe": {"cpu": 0.25}},
        {"id": "cluster1/127.0.0.1:9102", "instance_id": None, "probe": {"cpu": 0}},
        {"id": "cluster1/127.0.0.1:9103", "instance_id": "micro-3", "probe": {"cpu": None}},
    ]
    answer = {"clusters": [{"name": "cluster1", "targets": targets}]}
    assert cpu_shares(answer) == {"micro-1": 0.25, "cluster1/127.0.0.1:9102": 0.0}


@pytest.mark.parametrize("answer", [None, [], {}, {"clusters": None}, {"clusters": [3]}, "x"])
def test_strange_answers_give_no_shares(answer: object) -> None:
    assert cpu_shares(answer) == {}
