"""What one health check costs: CPU of the process that checks, the target's not counted.

    python -m tests.balancer.fleet.cost

The target is a process of its own. The median of several rounds is printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Final

import uvloop

from services.balancer.address import Address
from services.balancer.config import HealthCheck
from services.balancer.fleet.health import check_once
from services.balancer.fleet.line import Line

ROUNDS: Final = 7
CHECKS: Final = 300

# One line of output: its port.
TARGET: Final = """
import asyncio

async def serve(reader, writer):
    while await reader.readline():
        while await reader.readline() != b"\\r\\n":
            pass
        writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


async def measure(port: int) -> list[float]:
    """CPU seconds of one check, for each round."""
    line = Line(Address("127.0.0.1", port))
    check = HealthCheck()
    found = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(CHECKS):
            failure = await check_once(line, check)
            if failure is not None:
                raise RuntimeError(failure)
        found.append((time.process_time() - before) / CHECKS)
    await line.close()
    return found


def main() -> None:
    """Print the median and the spread, in microseconds."""
    with subprocess.Popen([sys.executable, "-c", TARGET], stdout=subprocess.PIPE) as target:
        try:
            assert target.stdout is not None
            rounds = uvloop.run(measure(int(target.stdout.readline())))
        finally:
            target.terminate()
    us = [seconds * 1e6 for seconds in rounds]
    print(f"{statistics.median(us):.0f} us of CPU a check ({min(us):.0f} to {max(us):.0f})")


if __name__ == "__main__":
    main()
