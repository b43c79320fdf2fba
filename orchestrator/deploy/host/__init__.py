"""What watches over the container on its own machine; the user data puts it there.

drain.sh                 waits for the machine's end to be announced, then drains and says so
steelyard-drain.service  runs it
steelyard.service        starts the container with the machine, and drains it at a shutdown
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from services.contract import (
    DRAIN_DEADLINE_S,
    DRAIN_FRONT_S,
    DRAIN_NOTICE_S,
    DRAIN_SPOT_S,
    DRAIN_STOP_S,
    HOOK_TERMINATING,
    HOOK_TIMEOUT_S,
    LOAD_PATH,
    WORKER_PORT,
)

Role = Literal["worker", "balancer"]

_HERE: Final = Path(__file__).parent
_FILES: Final = ("drain.sh", "steelyard.service", "steelyard-drain.service")


def host_files(
    *, role: Role, region: str, group: str | None, notice_s: int | None = None
) -> dict[str, str]:
    """Texts by file name. `group` is the Auto Scaling group of the machine, with its hook;
    `notice_s` how long whoever sends it requests needs to see that it goes.
    """
    usual_s = DRAIN_NOTICE_S if role == "worker" else DRAIN_FRONT_S
    environment = {
        "ROLE": role,
        "REGION": region,
        "GROUP": group or "",
        "HOOK": HOOK_TERMINATING if group else "",
        "NOTICE_S": usual_s if notice_s is None else notice_s,
        "DEADLINE_S": DRAIN_DEADLINE_S,
        "SPOT_S": DRAIN_SPOT_S,
        "HEARTBEAT_S": HOOK_TIMEOUT_S // 3,
        "STOP_S": DRAIN_STOP_S,
        "LOAD": f"http://127.0.0.1:{WORKER_PORT}{LOAD_PATH}",
    }
    lines = "".join(f"{name}={value}\n" for name, value in environment.items())
    return {"drain.env": lines, **{name: (_HERE / name).read_text() for name in _FILES}}
