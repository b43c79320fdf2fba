"""What moves by itself, in this order, twice a second."""

from __future__ import annotations

from typing import Final

from orchestrator.localcloud.alarms import watch_alarms
from orchestrator.localcloud.groups import move_groups
from orchestrator.localcloud.instances import settle
from orchestrator.localcloud.metrics import measure
from orchestrator.localcloud.scaling import scale
from orchestrator.localcloud.schedule import run_schedule
from orchestrator.localcloud.spot import take_back
from orchestrator.localcloud.targets import check_targets
from orchestrator.localcloud.world import Step

STEPS: Final[tuple[Step, ...]] = (
    settle,
    take_back,
    measure,
    scale,
    run_schedule,
    move_groups,
    check_targets,
    watch_alarms,
)
