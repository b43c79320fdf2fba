"""`python -m services.worker.burn SECONDS PARENT_PID`: keep one core busy, then end.

Ends early when its parent dies, however it dies: it looks for that many times a second. Runs at a
lower priority, so that a server on the same core stays responsive.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Final

NICE: Final = 10
SLICE_S: Final = 0.02


def main(arguments: list[str]) -> int:
    """Burn CPU for the given seconds, or until the parent is gone."""
    end_s = time.monotonic() + float(arguments[0])
    parent = int(arguments[1])
    os.nice(NICE)
    while os.getppid() == parent and (now_s := time.monotonic()) < end_s:
        slice_end_s = min(now_s + SLICE_S, end_s)
        while time.monotonic() < slice_end_s:
            sum(range(1000))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
