"""The real supervisor over stub children: `python -m tests.balancer.stub_supervisor CONFIG`."""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial

from services.balancer.children import Commands
from services.balancer.ledger import Ledger
from services.balancer.log import start_logging
from services.balancer.settings import load
from services.balancer.sockets import bind_sockets, raise_open_files
from services.balancer.supervisor import Supervisor

STUB = (sys.executable, "-m", "tests.balancer.stub_child")


def main() -> int:
    """As `services.balancer.__main__`, with other children and the ledger's number logged."""
    start_logging("supervisor")
    read = partial(load, sys.argv[1], os.environ)
    config = read()
    sockets = bind_sockets(config.listen, config.admin, config.processes)
    ledger = Ledger.create(rows=config.processes)
    print(ledger.fd, flush=True)
    supervisor = Supervisor(
        config,
        read,
        sockets,
        ledger,
        open_files=raise_open_files(),
        commands=Commands(dataplane=STUB, control=STUB),
    )
    return asyncio.run(supervisor.run())


if __name__ == "__main__":
    sys.exit(main())
