"""Load reports that ride on responses: read, handed to the policy, kept from the client."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import ClusterConfig, PolicySpec
from services.balancer.dataplane.http1 import parse_response_fields
from services.balancer.dataplane.report import apart, hear, read_report
from services.balancer.pick.prequal import Prequal
from services.balancer.pick.steelyard import Steelyard
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.balancer.made import target
from tests.stand.target import Request, StubTarget, plain


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
        (b"TEXT xnamed_metrics.pending=4,named_metrics.pending= 5 ,", (5.0, None, None)),
        (b"TEXT named_metrics.pending=x, named_metrics.pending=5", (5.0, None, None)),
        (b"TEXT named_metrics.pending =5", (None, None, None)),
        (b'JSON {"cpu_utilization": 0.3}', (None, None, None)),
        (b"", (None, None, None)),
    ],
)
def test_a_report_is_read(
    value: bytes, read: tuple[float | None, float | None, float | None]
) -> None:
    assert read_report(value) == read


def test_who_wants_no_latency_is_told_of_the_pending_requests_alone() -> None:
    value = b"TEXT named_metrics.pending=4, named_metrics.latency_ms=12.5, cpu_utilization=0.3"
    prequal, steelyard = Prequal(), Steelyard()
    whole, part, silent = (target(0, policy=each).load for each in (prequal, steelyard, steelyard))
    assert (whole.wants_latency, part.wants_latency) == (True, False)
    hear(whole, value, 1.0)
    assert (whole.reported_pending, whole.cpu) == (4.0, 0.3)
    assert [each.latency_s for each in prequal.pool] == [0.0125]
    hear(part, value, 1.0)
    assert (part.reported_pending, part.cpu) == (4.0, None)
    hear(silent, b'JSON {"cpu_utilization": 0.3}', 1.0)
    assert (silent.reported_pending, silent.cpu) == (None, None)


OK = b"HTTP/1.1 200 OK\r\n"
OTHERS = st.lists(
    st.sampled_from(
        [
            b"A: b\r\n",
            b"X-Endpoint-Load-Metrics: TEXT a=1\r\n",
            b"Endpoint-Load-Metrics-X:TEXT\r\n",
            b"B: \tendpoint-load-metrics: TEXT a=1\r\n",
            b"Content-Length: 2\r\n",
        ]
    ),
    unique=True,
)


@given(OTHERS, st.integers(0, 5), st.sampled_from([b"", b" ", b"\t "]), st.booleans())
def test_a_report_is_set_apart_from_the_other_lines(
    lines: list[bytes],
    place: int,
    space: bytes,
    lower: bool,
) -> None:
    value = b"TEXT named_metrics.pending=4"
    line = b"Endpoint-Load-Metrics:" + space + value + space + b"\r\n"
    section = b"".join([*lines[:place], line, *lines[place:]])
    if lower:
        section = section.lower()
        lines = [each.lower() for each in lines]
        value = value.lower()
    rest, report = apart(OK + section)
    assert (rest, report) == (OK + b"".join(lines), value)
    assert apart(rest) == (rest, None)
    rest = rest.removeprefix(OK)
    if rest:
        assert parse_response_fields(rest, 9).onward == parse_response_fields(section, 9).onward


@pytest.mark.parametrize(
    "section",
    [
        b"endpoint-load-metrics : TEXT\r\n",  # what breaks the grammar stays, to be refused
        b"endpoint-load-metrics: TE\x00XT\r\n",
        b"endpoint-load-metrics: TEXT\n\r\n",
        b"A: b\rendpoint-load-metrics: TEXT\r\n",
    ],
)
def test_what_is_no_line_is_no_report(section: bytes) -> None:
    assert apart(OK + section) == (OK + section, None)


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


async def test_responses_that_differ_by_their_report_alone_are_parsed_once() -> None:
    reports = iter(range(100))

    async def answer(request: Request) -> None:
        line = b"endpoint-load-metrics: TEXT named_metrics.pending=%d\r\n" % next(reports)
        await plain(extra=line)(request)

    async with StubTarget(answer) as one, data_plane(one) as stand:
        wire = await stand.connect()
        for _ in range(3):
            assert (await wire.get())[0] == 200
        assert next(reports) == 3
        assert len(stand.plane.response_heads.known) == 1
