"""Load reports of any content, and probes that never end."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import Probe
from services.balancer.fleet.line import Line
from services.balancer.fleet.probe import (
    Reading,
    interval_s,
    parse_report,
    probe_once,
    run_probes,
)
from tests.balancer.fleet.conditions import stub_target, wait_until


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"pending": 4, "cpu_utilization": 0.25, "instance_id": "i"}', (4.0, 0.25, "i")),
        (b'{"pending": 0, "cpu_utilization": null}', (0.0, None, None)),
        (b'{"cpu_utilization": 7}', (None, 1.0, None)),
        (b'{"pending": -1, "cpu_utilization": NaN, "instance_id": 3}', (None, None, None)),
        (b'{"pending": true, "cpu_utilization": "0.5"}', (None, None, None)),
        (b'{"pending": 1e999}', (None, None, None)),
        (b"[" * 50_000, (None, None, None)),
        (b'{"pending": 1' + b"0" * 400 + b"}", (None, None, None)),
        (b"<html>", (None, None, None)),
        (b"[1]", (None, None, None)),
    ],
)
def test_a_report_is_taken_as_far_as_it_makes_sense(body: bytes, expected: object) -> None:
    assert parse_report(body) == expected


@given(st.binary(max_size=80))
def test_any_body_is_a_report_of_nothing(body: bytes) -> None:
    parse_report(body)


@pytest.mark.parametrize(
    ("answer", "measured", "error"),
    [
        ((200, b'{"pending": 2}'), True, None),
        ((404, b""), True, None),
        ((500, b""), False, "answered 500"),  # fails fast, is not fast
    ],
)
async def test_what_a_status_means(
    answer: tuple[int, bytes], measured: bool, error: str | None
) -> None:
    async with stub_target() as target:
        target.answers["/load"] = answer
        line = Line(target.address)
        reading = await probe_once(line, Probe())
        await line.close()
    assert (reading.latency_s is not None) is measured
    assert reading.error == error
    if reading.latency_s is not None:
        assert 0 < reading.latency_s < 1


async def test_the_pooled_connection_that_the_target_closed_is_no_failure() -> None:
    async with stub_target() as target:
        line = Line(target.address)
        for _ in range(3):
            assert (await probe_once(line, Probe())).error is None
            target.hang_up()
            await asyncio.sleep(0)
            await wait_until(lambda: not target._writers)
        await line.close()


async def test_probes_are_never_done() -> None:
    """A scoreboard that is filled once at start is a record of the past."""
    readings: list[Reading] = []
    async with stub_target() as target:
        line = Line(target.address)
        probes = asyncio.create_task(
            run_probes(
                line,
                Probe(interval_s=0.01),
                report=readings.append,
                gate=asyncio.Semaphore(4),
                rng=Random(1),
                targets=lambda: 1,
            )
        )
        await wait_until(lambda: len(readings) >= 3)
        target.answers["/load"] = (200, b'{"pending": 40}')
        await wait_until(lambda: readings[-1].pending == 40)
        probes.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await probes
        await line.close()


def test_many_targets_are_probed_less_often() -> None:
    assert interval_s(Probe(interval_s=1.0), 8) == 1.0
    assert interval_s(Probe(interval_s=1.0), 1000) == 10.0
