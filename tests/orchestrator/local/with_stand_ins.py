"""The `steelyard` command with stand-ins in place of workers and balancer.

In the environment: FLEET_OPTIONS is JSON, program name -> further arguments of its stand-in; RAMP_S
is how long the demo's rising load lasts, WORKERS how many there are in each cluster,
and PROGRAMS=real changes nothing but their number.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator import cli
from orchestrator.local import bring_up, demo, plan

STAND_IN = Path(__file__).with_name("stand_in.py")


def stand_in_plan(
    ports: Mapping[str, int], folder: Path, *, count: int | None = None
) -> plan.FleetPlan:
    """The real plan, its programs exchanged; with `count` workers in each cluster."""
    options: dict[str, list[str]] = json.loads(os.environ.get("FLEET_OPTIONS", "{}"))
    if count is None:
        count = int(os.environ.get("WORKERS", "4"))
    machines = tuple(dataclasses.replace(m, count=count) for m in plan.MACHINES)
    real = plan.make_plan(ports, folder, machines=machines)
    if os.environ.get("PROGRAMS") == "real":
        return real
    python = (sys.executable, "-S", str(STAND_IN))
    targets = [worker.target_id for worker in real.workers]
    return dataclasses.replace(
        real,
        workers=tuple(
            dataclasses.replace(w, argv=(*python, *options.get(w.name, ()), str(w.port)))
            for w in real.workers
        ),
        balancer=dataclasses.replace(
            real.balancer,
            argv=(
                *(*python, *options.get(plan.BALANCER, ())),
                *(str(real.balancer.port), str(real.admin_port), *targets),
            ),
        ),
    )


if __name__ == "__main__":
    vars(bring_up)["make_plan"] = stand_in_plan
    if seconds := os.environ.get("RAMP_S"):
        vars(demo)["RAMP_S"] = float(seconds)
    cli.main()
