"""Scheduled actions of groups, at their time.

The time between the call and the start is what is scaled: an action that was put for four hours
from now comes after four cloud hours, whatever the hour is on the cloud's clock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.localcloud.groups import is_deleting
from orchestrator.localcloud.health import suspended
from orchestrator.localcloud.members import company_of
from orchestrator.localcloud.world import World

_DUE: Final = (
    "steelyard_due_s"  # cloud time; None: it comes again by a cron rule, which we don't do
)


def run_schedule(world: World) -> None:
    """A step: one-time actions that are due, each once. `Recurrence` is told of and left."""
    backend = world.backend("autoscaling")
    for key, action in list(backend.scheduled_actions.items()):
        if not hasattr(action, _DUE):
            setattr(action, _DUE, _due_s(world, action))
        due_s = getattr(action, _DUE)
        group = backend.autoscaling_groups.get(action.auto_scaling_group_name)
        if due_s is None or world.clock.now() < due_s or group is None:
            continue
        if is_deleting(group) or suspended(group, "ScheduledActions"):
            continue
        del backend.scheduled_actions[key]
        _fire(world, group, action)


def _due_s(world: World, action: Any) -> float | None:
    if action.recurrence or action.start_time is None:
        world.report(f"{action.scheduled_action_name}: recurring actions do not happen here")
        return None
    start: datetime = action.start_time
    from_now_s = start.replace(tzinfo=UTC).timestamp() - world.clock.wall()
    return world.clock.now() + from_now_s


def _fire(world: World, group: Any, action: Any) -> None:
    def told(name: str) -> int:
        wanted = getattr(action, name)
        return int(getattr(group, name) if wanted is None else wanted)

    smallest, largest = told("min_size"), told("max_size")
    if smallest > largest:
        world.report(f"{action.scheduled_action_name}: min {smallest} is above max {largest}")
        return
    desired = min(max(told("desired_capacity"), smallest), largest)
    group.min_size, group.max_size, group.desired_capacity = smallest, largest, desired
    company_of(group).reason = f"a scheduled action {action.scheduled_action_name} was executed"
    world.report(f"{group.name}: {action.scheduled_action_name} sets {desired} machines")
