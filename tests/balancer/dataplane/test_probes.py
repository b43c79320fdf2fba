"""Probes of the data plane's own: what they cost, whom they reach, whom they never hold up."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import Config, Limits, PolicySpec, Probe
from services.balancer.dataplane.probes import FEW_PER_S, MOST, SHARE, Allowance
from services.balancer.messages import Health
from services.balancer.pick.prequal import Prequal
from tests.balancer.dataplane.stand import Stand, configuration, data_plane
from tests.stand.proc import wait_until
from tests.stand.target import Answer, Request, StubTarget, held, plain, raw

REPORT: Final = (
    b"endpoint-load-metrics: TEXT named_metrics.pending=3, named_metrics.latency_ms=20\r\n"
)
REPORTING: Final = plain(extra=REPORT)


def prequal(*, limits: Limits | None = None, timeout_s: float = 1.0) -> Config:
    cluster = {"policy": PolicySpec(name="prequal"), "probe": Probe(timeout_s=timeout_s)}
    return configuration(limits=limits, cluster=cluster)


def probed(answer: Answer) -> StubTarget:
    """A target that answers probes so."""
    target = StubTarget()
    target.answers["/load"] = answer
    return target


def ask(stand: Stand, after_s: float) -> None:
    """So much later, with as many requests as earn all that can be saved up."""
    stand.plane.clusters["c"].requests += int(MOST / SHARE)
    (prober,) = stand.plane._probers
    prober.tick(stand.plane.clock() + after_s)


def heard(stand: Stand) -> list[float]:
    policy = stand.plane.clusters["c"].policy
    assert isinstance(policy, Prequal)
    return [answer.pending for answer in policy.pool]


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10_000)), min_size=1))
def test_probes_are_a_small_part_of_the_requests_and_a_few(
    steps: list[tuple[float, int]],
) -> None:
    now, requests, sent = 50.0, 7, 0
    allowance = Allowance(now, requests, FEW_PER_S)
    for seconds, more in steps:
        now, requests = now + seconds, requests + more
        at_once = allowance.earn(now, requests)
        assert 0 <= at_once <= MOST
        for _ in range(at_once):
            allowance.spend()
        sent += at_once
        assert sent <= 1.001 + (requests - 7) * SHARE + (now - 50.0) * FEW_PER_S


async def test_a_target_that_traffic_passes_by_is_asked_and_its_report_reaches_the_policy() -> None:
    """Nobody sends a request: the first sweep asks."""
    async with probed(REPORTING) as target, data_plane(target, config=prequal()) as stand:
        await wait_until(lambda: heard(stand) == [3.0], "the report in the pool")
        assert target.requests == []
        assert stand.pending == 0
        await wait_until(lambda: not stand.plane.probing, "the probe over")
        (one,) = stand.plane.clusters["c"].targets.values()
        assert len(one.idle) == 1  # the connection may serve a request now
        assert sum(one.counts) == 1  # a connection was made; nothing else is counted


async def test_a_probe_takes_no_connection_that_a_request_may_want() -> None:
    gate = asyncio.Event()
    async with (
        probed(held(gate, REPORTING)) as target,
        data_plane(target, config=prequal(timeout_s=60.0)) as stand,
    ):
        (one,) = stand.plane.clusters["c"].targets.values()
        wire = await stand.connect()
        assert (await wire.get())[0] == 200
        await wait_until(lambda: target.pending == 1, "the probe at the target")
        assert len(one.idle) == 1
        assert (await wire.get())[0] == 200  # while the probe waits
        assert target.connections == 2
        gate.set()
        await wait_until(lambda: len(one.idle) == 2, "the probe's connection in the pool")
        ask(stand, 100.0)  # now one can be spared
        await wait_until(lambda: heard(stand) == [3.0, 3.0], "another report")
        assert target.connections == 2


async def test_who_has_just_been_heard_is_not_asked() -> None:
    async with probed(REPORTING) as target, data_plane(target, config=prequal()) as stand:
        await wait_until(lambda: len(heard(stand)) == 1, "a report")
        (one,) = stand.plane.clusters["c"].targets.values()
        assert 0.0 < one.heard_at <= stand.plane.clock()
        one.heard_at, one.probe_after = stand.plane.clock(), 0.0  # with a response, right now
        ask(stand, 0.0)
        assert not stand.plane.probing
        ask(stand, 2.0)
        assert stand.plane.probing
        await wait_until(lambda: not stand.plane.probing, "the probe over")


async def test_who_answers_without_a_report_is_not_asked_again_for_long() -> None:
    answer = plain(status="404 Not Found")
    async with probed(answer) as target, data_plane(target, config=prequal()) as stand:
        (one,) = stand.plane.clusters["c"].targets.values()
        await wait_until(lambda: len(one.idle) == 1, "the first probe answered")
        ask(stand, 30.0)
        assert not stand.plane.probing
        assert heard(stand) == []
        assert one.failures == 0


async def _endless(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        await request.send(bytes(10_000))
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    "answer",
    [
        held(asyncio.Event()),
        raw(b"nonsense\r\n\r\n"),
        raw(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"),
        raw(b"HTTP/1.1 200 OK\r\n\r\n", end=True),
        _endless,
    ],
)
async def test_a_probe_that_goes_wrong_ends_and_counts_nowhere(answer: Answer) -> None:
    async with (
        probed(answer) as target,
        data_plane(target, config=prequal(timeout_s=0.2)) as stand,
    ):
        (one,) = stand.plane.clusters["c"].targets.values()
        await wait_until(lambda: target.connections == 1, "the probe at the target")
        await wait_until(lambda: not stand.plane.probing, "the probe over")
        assert one.failures == 0
        assert one.idle == []
        assert (await (await stand.connect()).get())[0] == 200


async def test_no_connection_is_opened_for_a_probe_where_the_limit_is_reached() -> None:
    async with (
        probed(REPORTING) as target,
        data_plane(target, config=prequal(limits=Limits(connections=1))) as stand,
    ):
        await wait_until(lambda: len(heard(stand)) == 1, "a report, over a connection that rests")
        for after_s in range(2, 10):
            ask(stand, float(after_s))
        assert target.connections == stand.plane.target_connections == 1


async def test_a_reload_begins_or_ends_it() -> None:
    async with probed(REPORTING) as target, data_plane(target) as stand:
        stand.see(target.port, 0, Health.HEALTHY)
        assert stand.plane._probers == []
        stand.plane.configure(prequal())
        await wait_until(lambda: len(heard(stand)) == 1, "a report")
        stand.plane.configure(configuration())
        assert stand.plane._probers == []
