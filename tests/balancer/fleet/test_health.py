"""The transition table, the pace of checks, and what counts as a pass."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.config import HealthCheck
from services.balancer.fleet.health import (
    FOLLOW_UP,
    TRANSITIONS,
    HealthState,
    check_once,
    next_delay_s,
    run_checks,
)
from services.balancer.fleet.line import Line
from services.balancer.messages import Health
from tests.balancer.fleet.conditions import stub_target, wait_until


def states(results: str, *, rise: int = 2, fall: int = 3) -> str:
    """`+` a pass, `-` a failure; H, U for the state after each."""
    state = HealthState()
    return "".join(
        state.observe(result == "+", rise=rise, fall=fall).value[0].upper() for result in results
    )


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ("+", "H"),
        ("-", "U"),
        ("+--+--+---", "HHHHHHHHHU"),
        ("+---+-++", "HHHUUUUH"),
        ("-+", "UU"),
        ("-++", "UUH"),
    ],
)
def test_results_in_a_row_decide(results: str, expected: str) -> None:
    assert states(results) == expected


def test_the_table_covers_every_state_and_result() -> None:
    assert set(TRANSITIONS) == {(health, passed) for health in Health for passed in (True, False)}


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_a_flip_takes_its_results_in_a_row(results: list[bool], rise: int, fall: int) -> None:
    state = HealthState()
    seen = [state.observe(result, rise=rise, fall=fall) for result in results]
    for index, (before, after) in enumerate(pairwise(seen), start=1):
        if before is not after:
            need = rise if after is Health.HEALTHY else fall
            assert results[max(0, index + 1 - need) : index + 1] == [after is Health.HEALTHY] * need
    assert Health.UNKNOWN not in seen


def test_a_first_failure_is_followed_up_sooner() -> None:
    check = HealthCheck(interval_s=8.0, fall=2)
    state = HealthState()
    rng = Random(1)
    state.observe(True, rise=1, fall=2)
    assert 4.0 <= next_delay_s(check, state, rng, first=True) <= 8.0
    assert 7.5 <= next_delay_s(check, state, rng, first=False) <= 8.5
    state.observe(False, rise=1, fall=2)
    assert state.health is Health.HEALTHY
    assert next_delay_s(check, state, rng, first=False) == 8.0 * FOLLOW_UP
    state.observe(False, rise=1, fall=2)
    assert next_delay_s(check, state, rng, first=False) > 7


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, None), (204, None), (302, "answered 302"), (404, "answered 404"), (503, "answered 503")],
)
async def test_only_2xx_passes(status: int, failure: str | None) -> None:
    async with stub_target() as target:
        target.answers["/readyz"] = (status, b"")
        line = Line(target.address)
        assert await check_once(line, HealthCheck()) == failure
        await line.close()


async def test_failures_of_the_target_are_named() -> None:
    async with stub_target() as target:
        line = Line(target.address)
        target.answers["/readyz"] = None
        failure = await check_once(line, HealthCheck(timeout_s=0.05))
        assert failure == "no answer within 0.05 s"
        target.raw = b"SSH-2.0-x\r\n\r\n"
        assert "broken answer" in str(await check_once(line, HealthCheck()))
        target.raw = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"
        assert "broken answer" in str(await check_once(line, HealthCheck()))
        target.raw = None
        target.answers["/readyz"] = (200, b"x" * 70_000)
        assert "more than 65536 bytes" in str(await check_once(line, HealthCheck()))
        await line.close()
    line = Line(target.address)
    assert "no connection" in str(await check_once(line, HealthCheck()))
    await line.close()


async def test_checks_go_on_and_keep_their_connection() -> None:
    async with stub_target() as target:
        line, state = Line(target.address), HealthState()
        reports: list[tuple[Health, str | None]] = []
        checks = asyncio.create_task(
            run_checks(
                line,
                HealthCheck(interval_s=0.01, fall=2),
                state=state,
                report=lambda before, failure: reports.append((before, failure)),
                gate=asyncio.Semaphore(4),
                rng=Random(1),
            )
        )
        await wait_until(lambda: len(reports) >= 5)
        assert state.health is Health.HEALTHY
        assert target.connections == 1
        target.answers["/readyz"] = (503, b"")
        await wait_until(lambda: state.health is Health.UNHEALTHY)
        checks.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await checks
        await line.close()
