"""A minute as metric data. Names, units and dimensions are the contract's. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from services.balancer.cloudwatch.distribution import distribution
from services.balancer.cloudwatch.outbox import Minute, Share
from services.contract import (
    CLOUDWATCH_ERRORS_4XX,
    CLOUDWATCH_ERRORS_5XX,
    CLOUDWATCH_HEALTHY,
    CLOUDWATCH_LATENCY,
    CLOUDWATCH_PENDING,
    CLOUDWATCH_REQUESTS,
    CLOUDWATCH_RETRIES,
    DIMENSION_CLUSTER,
    DIMENSION_DEPLOYMENT,
)

# One call takes 1000 metrics and 1 MB. Source: CloudWatch API, PutMetricData. A share is 7 metrics
# and, with a full distribution, less than 25 kB in the older of botocore's two encodings.
SHARES_A_CALL: Final = 25

Datum = dict[str, Any]


def metric_data(minute: Minute, deployment: str) -> list[Datum]:
    """All shares of a minute, as PutMetricData takes them."""
    at = datetime.fromtimestamp(minute.at_s, UTC)
    data: list[Datum] = []
    for cluster, share in minute.shares.items():
        dimensions = [{"Name": DIMENSION_DEPLOYMENT, "Value": deployment}]
        if cluster is not None:
            dimensions.append({"Name": DIMENSION_CLUSTER, "Value": cluster})
        for datum in _share(share):
            data.append({"Dimensions": dimensions, "Timestamp": at, **datum})
    return data


def _share(share: Share) -> Iterable[Datum]:
    counts = share.counts
    yield _count(CLOUDWATCH_REQUESTS, counts.requests)
    yield _count(CLOUDWATCH_ERRORS_4XX, counts.errors_4xx)
    yield _count(CLOUDWATCH_ERRORS_5XX, counts.errors_5xx)
    yield _count(CLOUDWATCH_RETRIES, counts.retries)
    if share.healthy is not None:
        yield _count(CLOUDWATCH_HEALTHY, share.healthy)
    if share.pending is not None:
        yield _count(CLOUDWATCH_PENDING, share.pending)
    latency = distribution(counts.latency)
    if latency:  # a datum needs a value: a minute without requests has no latency
        yield {
            "MetricName": CLOUDWATCH_LATENCY,
            "Unit": "Milliseconds",
            "Values": list(latency),
            "Counts": [float(count) for count in latency.values()],
        }


def _count(name: str, count: int) -> Datum:
    return {"MetricName": name, "Unit": "Count", "Value": float(count)}
