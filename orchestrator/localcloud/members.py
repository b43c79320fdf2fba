"""What is known of a group and of its instances beyond what moto keeps: times, waits, activities.

The records hang on moto's own objects, so that they go when those go. Their times are cloud time;
what the API tells is the wall clock's, which those who ask go by.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from orchestrator.localcloud.world import World

_RECORD: Final = "steelyard_record"
_ACTIVITIES_KEPT: Final = 500
_SAMPLES_KEPT: Final = 60  # the longest look back of a scaling policy is fifteen
GLOBAL_TIMEOUT_S: Final = 172_800  # of a wait, whatever its heartbeats say; AWS's 48 hours


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU in percent by instance id, over the `width_s` cloud seconds that ended at `at_s`."""

    at_s: float
    width_s: float
    percent: dict[str, float]


@dataclass(slots=True)
class Wait:
    """A lifecycle hook's wait for one instance. `result` is None until somebody says it."""

    token: str
    deadline_s: float
    limit_s: float
    result: str | None = None


@dataclass(slots=True)
class Member:
    """An instance of a group."""

    launched_s: float
    in_service_s: float | None = None
    waits: dict[str, Wait] = field(default_factory=dict)  # by the hook's name
    activity: dict[str, Any] | None = None  # the one under way: its launch or its end


@dataclass(slots=True)
class Company:
    """A group. `not_before_s` holds launches back after one that failed; `reason` is why its
    capacity was changed last; `cpu` is told by `metrics`."""

    activities: deque[dict[str, Any]] = field(
        default_factory=lambda: deque(maxlen=_ACTIVITIES_KEPT)
    )
    not_before_s: float = 0.0
    reason: str = "a user request created or changed the group"
    cpu: deque[Sample] = field(default_factory=lambda: deque(maxlen=_SAMPLES_KEPT))


def member_of(world: World, state: Any) -> Member:
    """The record of a moto `InstanceState`; one that somebody attached is made now."""
    known: Member | None = getattr(state, _RECORD, None)
    if known is None:
        now_s = world.clock.now()
        known = Member(now_s, now_s if state.lifecycle_state == "InService" else None)
        setattr(state, _RECORD, known)
    return known


def company_of(group: Any) -> Company:
    """The record of a moto `FakeAutoScalingGroup`."""
    known: Company | None = getattr(group, _RECORD, None)
    if known is None:
        known = Company()
        setattr(group, _RECORD, known)
    return known


def begin(world: World, group: Any, description: str, cause: str) -> dict[str, Any]:
    """A scaling activity, in the words of the API, as it is told from now on."""
    at = datetime.fromtimestamp(world.clock.wall(), UTC)
    activity = {
        "ActivityId": str(uuid4()),
        "AutoScalingGroupName": group.name,
        "Description": description,
        "Cause": f"At {at:%Y-%m-%dT%H:%M:%SZ} {cause}",
        "StartTime": at,
        "StatusCode": "InProgress",
        "Progress": 0,
        "Details": "{}",
    }
    company_of(group).activities.appendleft(activity)
    return activity


def finish(world: World, activity: dict[str, Any], status: str, message: str = "") -> None:
    """It is over: `Successful`, `Failed` or `Cancelled`."""
    activity["StatusCode"] = status
    activity["EndTime"] = datetime.fromtimestamp(world.clock.wall(), UTC)
    activity["Progress"] = 100
    if message:
        activity["StatusMessage"] = message


def hooks(world: World, group: Any, transition: str) -> list[Any]:
    """moto's hooks of a group for `LAUNCHING` or `TERMINATING`."""
    return [
        hook
        for hook in world.backend("autoscaling").lifecycle_hooks.values()
        if hook.auto_scaling_group_name == group.name
        and hook.lifecycle_transition == f"autoscaling:EC2_INSTANCE_{transition}"
    ]


def wait_for(world: World, hook: Any) -> Wait:
    """A hook's wait that begins now."""
    now_s = world.clock.now()
    limit_s = now_s + min(GLOBAL_TIMEOUT_S, 100 * hook.heartbeat_timeout)
    return Wait(str(uuid4()), now_s + hook.heartbeat_timeout, limit_s)


def outcome(waits: dict[str, Wait], present: dict[str, Any], now_s: float) -> str | None:
    """What the waits come to: CONTINUE, ABANDON, or None while one still lasts.

    A hook that is gone ends its wait with CONTINUE; time that is up, with the hook's default. The
    first ABANDON ends all. Source: EC2 Auto Scaling user guide, "How lifecycle hooks work".
    """
    lasts = False
    for name, wait in waits.items():
        result = wait.result
        if result is None and name not in present:
            result = "CONTINUE"
        elif result is None and now_s >= min(wait.deadline_s, wait.limit_s):
            result = present[name].default_result
        if result == "ABANDON":
            return result
        lasts = lasts or result is None
    return None if lasts else "CONTINUE"
