"""Balancers that tell each other, but for their requests: the processes that `loadtest.news` runs.

    python -m loadtest.telling '{"ledgers": [FD...], "ports": [...], "everybody": [...], ...}'

Each ledger is one balancer's. A line on standard input is answered with what has been spent and
told since the start; the end of it ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import sys
import time
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import uvloop

from services.balancer.config import Balancers, TargetSource
from services.balancer.fleet.discover import Regions
from services.balancer.ledger import Ledger
from services.balancer.peers.attend import Peers
from services.balancer.peers.tally import Heard

HOST: Final = "127.0.0.1"


def target_id(number: int) -> str:
    """Target `number` has the slot of that number."""
    return f"c/10.{number >> 16}.{number >> 8 & 255}.{number & 255}:8000"


@contextlib.contextmanager
def _ledgers(fds: list[int], rows: int) -> Iterator[list[Ledger]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(contextlib.closing(Ledger(fd, rows))) for fd in fds]


def _said(balancers: list[Peers]) -> dict[str, Any]:
    tellers = [balancer.teller for balancer in balancers if balancer.teller is not None]
    return {
        "cpu_s": time.process_time(),
        "rounds": sum(t.rounds for t in tellers),
        "sent": sum(t.wire.sent for t in tellers),
        "taken": sum(t.heard[Heard.TAKEN] for t in tellers),
        "known": min((len(balancer.tally.peers) for balancer in balancers), default=0),
    }


async def run(ledgers: list[Ledger], plan: dict[str, Any]) -> None:
    """Until standard input ends."""
    source = TargetSource(static=tuple(f"{HOST}:{port}" for port in plan["everybody"]))
    regions = Regions(Random(1))
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as group:
        balancers = [Peers(ledger, group) for ledger in ledgers]
        for balancer, port in zip(balancers, plan["ports"], strict=True):
            for number in range(plan["targets"]):
                balancer.joined(target_id(number), number)
            balancer.configure(Balancers(listen=f"{HOST}:{port}", peers=(source,)), regions)
        gc.freeze()  # as the control plane
        while await reader.readline():
            print(json.dumps(_said(balancers)), flush=True)
        for balancer in balancers:
            await balancer.close()


def main() -> None:
    """One process of some balancers."""
    plan = json.loads(sys.argv[1])
    with _ledgers(plan["ledgers"], plan["rows"]) as ledgers:
        uvloop.run(run(ledgers, plan))


if __name__ == "__main__":
    main()
