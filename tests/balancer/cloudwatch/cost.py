"""What CloudWatch costs the control plane: python -m tests.balancer.cloudwatch.cost.

Memory and CPU of boto3, its client and the first call, then of each minute, to a service here.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import services.balancer.control  # noqa: F401 - what is there without CloudWatch
from services.balancer.cloudwatch.api import Api
from services.balancer.cloudwatch.data import metric_data
from services.balancer.cloudwatch.outbox import Minute, Share
from services.balancer.cloudwatch.tally import BUCKETS, Counts
from services.contract import CLOUDWATCH_NAMESPACE
from tests.stand.cloudwatch import endpoint, environment

CLUSTERS = 2
MINUTES = 100


def main() -> None:
    """Print it."""
    names = [None, *(f"cluster{number}" for number in range(CLUSTERS))]
    latency = [1000] * BUCKETS
    minute = Minute(time.time(), {name: Share(Counts(latency=latency), 4, 9) for name in names})
    with (
        tempfile.TemporaryDirectory() as folder,
        endpoint() as cloud,
        patch.dict(os.environ, environment(cloud.port, Path(folder))),
    ):
        before, began = _resident_mib(), time.process_time()
        api = Api("eu-west-1")
        api.put(CLOUDWATCH_NAMESPACE, metric_data(minute, "demo"))
        first_s = time.process_time() - began
        print(
            f"{before:.0f} MiB, with CloudWatch {_resident_mib():.0f} MiB, once {first_s:.2f} s CPU"
        )
        began = time.process_time()
        for _ in range(MINUTES):
            api.put(CLOUDWATCH_NAMESPACE, metric_data(minute, "demo"))
        each_ms = (time.process_time() - began) / MINUTES * 1000
        # The service, which is in this process, is in it too.
        print(f"each minute of {CLUSTERS} clusters: {each_ms:.1f} ms CPU at most")


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
