"""Work: draws, real CPU off the loop, modelled jobs and how they are given up."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from services.worker.machine import Machine, MachineType
from services.worker.settings import WorkDistribution
from services.worker.work import ModelledWork, RealWork, sampler


@pytest.mark.parametrize("distribution", ["constant", "exponential", "lognormal"])
def test_draws_have_the_mean_and_come_again_with_the_seed(distribution: WorkDistribution) -> None:
    draw, again = sampler(distribution, 7), sampler(distribution, 7)
    draws = [draw(20.0) for _ in range(20_000)]
    assert draws == [again(20.0) for _ in range(20_000)]
    assert sum(draws) / len(draws) == pytest.approx(20.0, rel=0.05)
    deviation = math.sqrt(sum((x - 20.0) ** 2 for x in draws) / len(draws))
    expected = 0.0 if distribution == "constant" else 20.0
    assert deviation == pytest.approx(expected, rel=0.1)


async def test_real_work_burns_cpu_while_the_loop_goes_on() -> None:
    work = RealWork(threads=1)
    before_s = time.process_time()
    job = work.start(0.1)
    ticks = 0
    while not job.done():
        await asyncio.sleep(0.001)
        ticks += 1
    assert time.process_time() - before_s >= 0.09
    assert ticks > 10
    work.close()


async def test_real_work_stops_when_it_is_given_up() -> None:
    work = RealWork(threads=1)
    endless = work.start(3600)
    waiting = work.start(3600)
    endless.cancel()
    waiting.cancel()
    async with asyncio.timeout(5):
        await work.start(0.001)  # the only thread is free again
    work.close()


def machine() -> Machine:
    return Machine(MachineType("flat", 1), time.monotonic())


async def test_modelled_jobs_end_in_order_and_in_time() -> None:
    work = ModelledWork(machine())
    began_s = time.monotonic()
    ended: list[str] = []
    long, short = work.start(0.06), work.start(0.02)
    long.add_done_callback(lambda _: ended.append("long"))
    short.add_done_callback(lambda _: ended.append("short"))
    async with asyncio.timeout(5):
        await long
    assert ended == ["short", "long"]
    assert time.monotonic() - began_s >= 0.08


async def test_a_cancelled_job_leaves_the_machine() -> None:
    model = machine()
    work = ModelledWork(model)
    endless, short = work.start(math.inf), work.start(0.01)
    endless.cancel()
    async with asyncio.timeout(5):
        await short
    assert model.jobs == 0
    assert work.load(0.01, workers=3)
    assert model.jobs == 3
    async with asyncio.timeout(5):
        while model.jobs:  # noqa: ASYNC110 - the model has no event to wait for
            await asyncio.sleep(0.005)
    work.close()


async def test_a_slowed_machine_finishes_later_and_recovers() -> None:
    model = machine()
    work = ModelledWork(model)
    work.slow(0.001)
    job = work.start(0.01)
    await asyncio.sleep(0.03)
    assert not job.done()
    work.slow(1.0)
    async with asyncio.timeout(5):
        await job
