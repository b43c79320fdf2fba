"""Reading metrics as CloudWatch does: percentiles, exact dimensions, arithmetic between metrics.

moto answers 500 to a percentile, mixes namespaces and dimensions, and keeps no arithmetic. Source:
CloudWatch user guide, "CloudWatch statistics definitions" and "Using metric math".
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from moto.cloudwatch.exceptions import ValidationError
from moto.cloudwatch.models import CloudWatchBackend, MetricAggregatedDatum

_PERCENTILE: Final = re.compile(r"p(\d{1,2}(\.\d+)?|100)")
_OPERATORS: Final[dict[type, Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def statistic(data: Iterable[Any], stat: str) -> float | None:
    """`stat` of moto's data points: Sum, Average, Minimum, Maximum, SampleCount or pNN.

    None where there are none, or where a percentile has statistic sets only, as on AWS. Raises
    ValueError for another name.
    """
    sets = [one for one in data if isinstance(one, MetricAggregatedDatum)]
    values = sorted(one.value for one in data if not isinstance(one, MetricAggregatedDatum))
    count = len(values) + sum(one.sample_count for one in sets)
    total = sum(values) + sum(one.sum for one in sets)
    if _PERCENTILE.fullmatch(stat):
        return _percentile(values, float(stat[1:])) if values else None
    known: dict[str, Callable[[], float]] = {
        "Sum": lambda: total,
        "Average": lambda: total / count,
        "Minimum": lambda: min([*values, *(one.min for one in sets)]),
        "Maximum": lambda: max([*values, *(one.max for one in sets)]),
        "SampleCount": lambda: count,
    }
    if stat not in known:
        raise ValueError(f"statistic {stat} is not served here")
    return known[stat]() if count else None


def _percentile(values: Sequence[float], percent: float) -> float:
    """Between the two nearest ranks."""
    at = (len(values) - 1) * percent / 100
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (at - low)


def chosen(
    data: Iterable[Any], namespace: str, name: str, dimensions: Iterable[tuple[str, str]]
) -> list[Any]:
    """The data of one metric: exactly these dimensions, no more and no fewer."""
    wanted = set(dimensions)
    return [
        one
        for one in data
        if one.name == name
        and one.namespace == namespace
        and {(d.name, d.value) for d in one.dimensions} == wanted
    ]


def arithmetic(expression: str, values: Mapping[str, float]) -> float | None:
    """`100 * m1 / m2` and the like; None where a value is missing or the divisor is zero.

    Raises ValueError for what is more than the four operations on ids and numbers.
    """

    def of(node: ast.AST) -> float | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return node.value
        if isinstance(node, ast.Name):
            return values.get(node.id)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = of(node.left), of(node.right)
            if left is None or right is None or (isinstance(node.op, ast.Div) and not right):
                return None
            return _OPERATORS[type(node.op)](left, right)
        raise ValueError(f"expression {expression!r} is not served here")

    try:
        return of(ast.parse(expression, mode="eval").body)
    except SyntaxError as error:
        raise ValueError(f"expression {expression!r} is not served here") from error


@contextmanager
def real_metric_data() -> Iterator[None]:
    """While this lasts, GetMetricData answers from these."""
    with patch.object(CloudWatchBackend, "get_metric_data", _get_metric_data):
        yield


def _get_metric_data(
    self: Any,
    queries: list[dict[str, Any]],
    start_time: datetime,
    end_time: datetime,
    scan_by: str = "TimestampAscending",
) -> list[dict[str, Any]]:
    if start_time >= end_time:
        raise ValidationError("The parameter EndTime must be greater than StartTime.")
    data = [one for one in self.get_all_metrics() if start_time <= one.timestamp < end_time]
    series: dict[str, dict[float, float]] = {}
    try:
        for query in queries:
            if "MetricStat" in query:
                series[query["Id"]] = _series(data, query["MetricStat"])
        for query in queries:
            if "Expression" in query:
                series[query["Id"]] = _computed(query["Expression"], series)
    except ValueError as error:
        raise ValidationError(str(error)) from error
    down = scan_by == "TimestampDescending"
    results = []
    for query in queries:
        points = sorted(series[query["Id"]].items(), reverse=down)
        if query.get("ReturnData", True):
            results.append(
                {
                    "id": query["Id"],
                    "label": query.get("Label") or _label(query),
                    "values": [value for _, value in points],
                    "timestamps": [
                        datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at, _ in points
                    ],
                    "status_code": "Complete",
                }
            )
    return results


def _series(data: Iterable[Any], asked: dict[str, Any]) -> dict[float, float]:
    """Value by the period's start, in seconds since the epoch; periods begin on whole multiples."""
    metric, period_s = asked["Metric"], int(asked["Period"])
    dimensions = [(d["Name"], d["Value"]) for d in metric.get("Dimensions", [])]
    by_period: dict[float, list[Any]] = defaultdict(list)
    for one in chosen(data, metric["Namespace"], metric["MetricName"], dimensions):
        if asked.get("Unit") in (None, one.unit):
            at_s = one.timestamp.replace(tzinfo=UTC).timestamp()
            by_period[at_s // period_s * period_s].append(one)
    values = {at: statistic(ones, asked["Stat"]) for at, ones in by_period.items()}
    return {at: value for at, value in values.items() if value is not None}


def _computed(expression: str, series: Mapping[str, Mapping[float, float]]) -> dict[float, float]:
    times = {at for points in series.values() for at in points}
    values = {
        at: arithmetic(expression, {k: points[at] for k, points in series.items() if at in points})
        for at in times
    }
    return {at: value for at, value in values.items() if value is not None}


def _label(query: dict[str, Any]) -> str:
    if "MetricStat" not in query:
        return str(query["Id"])
    stat = query["MetricStat"]
    return f"{stat['Metric']['MetricName']} {stat['Stat']}"
