"""Load reports that ride on responses: read, handed to the policy, kept from the client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import ClusterConfig, PolicySpec
from services.balancer.dataplane.report import read_report
from services.balancer.pick.prequal import Prequal
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.target import StubTarget, plain


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"TEXT named_metrics.pending=4", (4.0, None, None)),
        (b"TEXT cpu_utilization=0.3, named_metrics.pending=4", (4.0, None, 0.3)),
        (b"TEXT named_metrics.pending=4,named_metrics.latency_ms=12.5", (4.0, 0.0125, None)),
        (b"TEXT named_metrics.pending=4, rps_fractional=2.00, cpu_utilization=7", (4.0, None, 1.0)),
        (b"TEXT named_metrics.pending=-4, cpu_utilization=nan", (None, None, None)),
        (b"TEXT named_metrics.pending=1e9", (None, None, None)),
        (b"TEXT xnamed_metrics.pending=4", (None, None, None)),
        (b'JSON {"cpu_utilization": 0.3}', (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_a_report_is_read(
    value: bytes, read: tuple[float | None, float | None, float | None]
) -> None:
    assert read_report(value) == read


@given(st.binary(max_size=200))
def test_any_bytes_are_some_report(value: bytes) -> None:
    for number in read_report(b"TEXT " + value):
        assert number is None or 0.0 <= number < 1e9


async def test_a_response_feeds_the_policy_and_the_client_sees_no_report() -> None:
    report = b"endpoint-load-metrics: TEXT named_metrics.pending=3, named_metrics.latency_ms=20\r\n"
    policy = PolicySpec(name="prequal")
    config = replace(
        configuration(), clusters=(ClusterConfig(name="c", targets=(), policy=policy),)
    )
    async with (
        StubTarget(plain(extra=report)) as one,
        data_plane(one, config=config) as stand,
    ):
        _, head, _ = await (await stand.connect()).get()
        assert b"load-metrics" not in head.lower()
        rule = stand.plane.clusters["c"].policy
        assert isinstance(rule, Prequal)
        (answer,) = rule.pool
        assert (answer.pending, answer.latency_s) == (3.0, 0.020)
