"""Metric alarms that watch: their state follows the data, and SNS is told when it changes.

Periods are cloud time, data has the wall clock's: on a fast clock a period is a second or two, and
what publishes once a real minute would be missing from most. So a period without data of its own
takes what was published within the real minute before its end.

Source: CloudWatch user guide, "Using Amazon CloudWatch alarms" (M out of N, missing data).
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Final
from unittest.mock import patch

from moto.cloudwatch.models import CloudWatchBackend

from orchestrator.localcloud.metric_data import arithmetic, chosen, statistic
from orchestrator.localcloud.metrics import naive
from orchestrator.localcloud.world import World

PUBLISHED_EVERY_S: Final = 60.0  # by balancers and workers, on the wall clock
_NEXT: Final = "steelyard_next_s"
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}


def state_of(breaches: Sequence[bool | None], needed: int, missing: str, before: str) -> str:
    """OK, ALARM or INSUFFICIENT_DATA from the last periods; None is a period without data.

    `missing` is breaching, notBreaching, ignore or missing, as in TreatMissingData.
    """
    if missing in ("breaching", "notBreaching"):
        filled = [missing == "breaching" if one is None else one for one in breaches]
    else:
        filled = [one for one in breaches if one is not None]
        if not filled:
            return before if missing == "ignore" else "INSUFFICIENT_DATA"
    return "ALARM" if sum(filled) >= needed else "OK"


def watch_alarms(world: World) -> None:
    """A step: every alarm whose period is over."""
    backend, now_s = world.backend("cloudwatch"), world.clock.now()
    for alarm in list(backend.alarms.values()):
        if alarm.rule is not None or now_s < getattr(alarm, _NEXT, 0.0):
            continue
        period_s = _period_s(alarm)
        setattr(alarm, _NEXT, (now_s // period_s + 1) * period_s)
        try:
            breaches = _breaches(world, alarm, period_s)
        except ValueError as error:
            setattr(alarm, _NEXT, float("inf"))
            world.report(f"alarm {alarm.name} is not watched: {error}")
            continue
        needed = int(alarm.datapoints_to_alarm or alarm.evaluation_periods)
        missing = alarm.treat_missing_data or "missing"
        state = state_of(breaches, needed, missing, alarm.state_value)
        if state != alarm.state_value:
            _change(world, alarm, state, breaches)


def _breaches(world: World, alarm: Any, period_s: float) -> list[bool | None]:
    """Newest first."""
    scale, end_s = world.clock.scale, world.clock.wall()
    width_s = period_s / scale
    periods = int(alarm.evaluation_periods)
    since = naive(end_s - periods * width_s - PUBLISHED_EVERY_S)
    data = list(
        takewhile(
            lambda one: one.timestamp >= since, reversed(world.backend("cloudwatch").metric_data)
        )
    )
    compare = _COMPARE.get(alarm.comparison_operator)
    if compare is None:
        raise ValueError(f"{alarm.comparison_operator} is not served here")
    found: list[bool | None] = []
    for number in range(periods):
        until_s = end_s - number * width_s
        own = _between(data, until_s - width_s, until_s)
        minute = _between(data, until_s - max(width_s, PUBLISHED_EVERY_S), until_s)
        value = _value(alarm, own, minute)
        found.append(None if value is None else compare(value, float(alarm.threshold)))
    return found


def _between(data: Sequence[Any], from_s: float, until_s: float) -> list[Any]:
    low, high = naive(from_s), naive(until_s)
    return [one for one in data if low <= one.timestamp < high]


def _value(alarm: Any, own: Sequence[Any], minute: Sequence[Any]) -> float | None:
    def of(metric: Any, stat: str) -> float | None:
        dimensions = [(d.name, d.value) for d in metric.dimensions]
        for data in (own, minute):
            picked = chosen(data, metric.namespace, metric.metric_name, dimensions)
            if picked:
                return statistic(picked, stat)
        return None

    if not alarm.metric_data_queries:
        return of(alarm, alarm.statistic or alarm.extended_statistic)
    values: dict[str, float] = {}
    result: float | None = None
    queries = alarm.metric_data_queries
    for query in sorted(queries, key=lambda one: one.metric_stat is None):
        if query.metric_stat is not None:
            value = of(query.metric_stat.metric, query.metric_stat.stat)
        else:
            value = arithmetic(query.expression, values)
        if value is not None:
            values[query.id] = value
        if query.return_data is not False:
            result = value
    return result


def _period_s(alarm: Any) -> float:
    known = [alarm.period]
    for query in alarm.metric_data_queries:
        known.append(query.metric_stat.period if query.metric_stat else query.period)
    return float(next((one for one in known if one), 60))


def _change(world: World, alarm: Any, state: str, breaches: Sequence[bool | None]) -> None:
    over, missing = sum(one is True for one in breaches), sum(one is None for one in breaches)
    reason = (
        f"Of the last {len(breaches)} periods {over} were {alarm.comparison_operator} "
        f"{alarm.threshold:g}, and {missing} had no data."
    )
    before = alarm.state_value
    alarm.update_state(reason, "{}", state)
    alarm.state_updated_timestamp = naive(world.clock.wall())
    world.report(f"alarm {alarm.name}: {before} -> {state}")
    if not alarm.actions_enabled:
        return
    actions = {
        "ALARM": alarm.alarm_actions,
        "OK": alarm.ok_actions,
        "INSUFFICIENT_DATA": alarm.insufficient_data_actions,
    }[state]
    message = {
        "AlarmName": alarm.name,
        "AlarmArn": alarm.alarm_arn,
        "NewStateValue": state,
        "NewStateReason": reason,
        "OldStateValue": before,
        "StateChangeTime": f"{datetime.fromtimestamp(world.clock.wall(), UTC):%Y-%m-%dT%H:%M:%SZ}",
        "Region": world.region,
    }
    sns = world.backend("sns")
    for arn in actions or []:
        if arn in sns.topics:
            subject = f'{state}: "{alarm.name}" in {world.region}'[:100]
            sns.publish(json.dumps(message), arn=arn, subject=subject)
        else:
            world.report(f"alarm {alarm.name}: nothing is done for {arn}")


@contextmanager
def alarms_begin_unknown() -> Iterator[None]:
    """While this lasts, a new alarm has INSUFFICIENT_DATA, and a changed one its state."""
    plain = CloudWatchBackend.put_metric_alarm

    def put_metric_alarm(self: Any, name: str, *args: Any, **given: Any) -> Any:
        before = self.alarms.get(name)
        alarm = plain(self, name, *args, **given)
        alarm.state_value = before.state_value if before else "INSUFFICIENT_DATA"
        return alarm

    with patch.object(CloudWatchBackend, "put_metric_alarm", put_metric_alarm):
        yield
