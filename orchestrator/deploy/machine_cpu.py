"""CPU of machines over the time of a run, from CloudWatch: CPUUtilization of EC2, by instance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until

NAMESPACE: Final = "AWS/EC2"
METRIC: Final = "CPUUtilization"
MOST_QUERIES: Final = 500  # of one GetMetricData. Source: CloudWatch API reference


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds since the epoch, from and to."""

    begin_s: float
    end_s: float

    def whole(self, period_s: int) -> range:
        """Starts of the periods that lie within it: one cut off by an end would be half idle."""
        first = math.ceil(self.begin_s / period_s) * period_s
        return range(first, math.floor(self.end_s / period_s) * period_s, period_s)


# Percent by the start of the period, by instance.
Series = Mapping[str, Mapping[int, float]]


def fetch(
    aws: Aws, idents: Sequence[str], span: Span, period_s: int
) -> dict[str, dict[int, float]]:
    """What CloudWatch has now: one call for up to 500 machines, paged. Raises CloudError."""
    begin = math.floor(span.begin_s / period_s) * period_s
    end = math.ceil(span.end_s / period_s) * period_s
    found: dict[str, dict[int, float]] = {ident: {} for ident in idents}
    for some in _chunks(idents):
        results = aws.pages(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=[_query(at, ident, period_s) for at, ident in enumerate(some)],
            StartTime=datetime.fromtimestamp(begin, UTC),
            EndTime=datetime.fromtimestamp(end, UTC),
        )
        for one in results:  # a machine may come on several pages
            points = zip(one["Timestamps"], one["Values"], strict=True)
            ident = some[int(one["Id"].removeprefix("m"))]
            found[ident] |= {int(at.timestamp()): float(value) for at, value in points}
    return found


def _chunks(idents: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(idents), MOST_QUERIES):
        yield idents[at : at + MOST_QUERIES]


def _query(at: int, ident: str, period_s: int) -> dict[str, Any]:
    dimensions = [{"Name": "InstanceId", "Value": ident}]
    metric = {"Namespace": NAMESPACE, "MetricName": METRIC, "Dimensions": dimensions}
    stat = {"Metric": metric, "Period": period_s, "Stat": "Average"}
    return {"Id": f"m{at}", "MetricStat": stat}


def wait_fetched(
    aws: Aws,
    idents: Sequence[str],
    spans: Iterable[Span],
    *,
    period_s: int,
    report: Report,
    patience: Patience,
) -> dict[str, dict[int, float]]:
    """`fetch`, again until the last whole period of all is there for each machine, or time is up.

    What is missing then stays missing, and is told: a machine that ended never gets its last one.

    Errors:
        CloudError: CloudWatch refused.
    """
    spans = [span for span in spans if span.whole(period_s)]
    if not spans or not idents:
        return {}
    last = max(span.whole(period_s)[-1] for span in spans)
    whole = Span(min(span.begin_s for span in spans), max(span.end_s for span in spans))
    found: dict[str, dict[int, float]] = {}

    def look() -> str:
        found.update(fetch(aws, idents, whole, period_s))
        missing = [ident for ident in idents if last not in found[ident]]
        return f"{len(missing)} of {len(idents)} machines have no figure yet" if missing else ""

    try:
        wait_until("CPU from CloudWatch", look, report, patience)
    except CloudError as error:
        if not found or error.code:
            raise
        report(f"{error.place}: {error.cause}; going on with what there is")
    return found
