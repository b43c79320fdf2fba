"""A child that serves nothing: it obeys its hub and writes down what it hears.

Run by the supervisor in place of a data plane or a control plane. `STUB_DIR` names a folder: what
is heard goes to `heard-<name>-<pid>.jsonl`; a control plane sends the frames in `say` once it is
configured, and again at SIGUSR1. `STUB_CRASH=<name>` makes that child exit 3 at once.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from pathlib import Path

import msgspec

from services.balancer.hub import Hub
from services.balancer.ledger import Ledger, ProcessCell
from services.balancer.messages import Configure, Drain, FrameReader, Membership, Message, Ready


async def serve(arguments: argparse.Namespace) -> None:
    """Run until drained or left alone."""
    folder = Path(os.environ["STUB_DIR"])
    control = arguments.admin_fd is not None
    name = "control" if control else f"dataplane-{arguments.row}"
    if os.environ.get("STUB_CRASH") == name:
        sys.exit(3)
    over = asyncio.Event()
    ledger = Ledger(arguments.ledger_fd, arguments.rows)
    loop = asyncio.get_running_loop()

    def say() -> None:
        path = folder / "say"
        if path.exists():
            for message in FrameReader().feed(path.read_bytes()):
                hub.send(message)

    with (folder / f"heard-{name}-{os.getpid()}.jsonl").open("wb", buffering=0) as heard:

        def on_message(message: Message) -> None:
            heard.write(msgspec.json.encode(message) + b"\n")
            if isinstance(message, Configure) and control:
                hub.send(Ready(pid=os.getpid()))
                say()
            elif isinstance(message, Membership) and message.full and message.last and not control:
                hub.send(Ready(pid=os.getpid()))
            elif isinstance(message, Drain):
                over.set()

        hub = await Hub.open(arguments.hub_fd, on_message, over.set)
        loop.add_signal_handler(signal.SIGUSR1, say)
        if not control:
            ledger.pending(arguments.row)[7] = 5
            ledger.process(arguments.row)[ProcessCell.CONNECTIONS_OPEN] = 9
        await over.wait()
        heard.write(b'{"type":"exit"}\n')
    hub.close()


def main() -> None:
    """Take the options of either kind of child."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser()
    for option in ("hub-fd", "ledger-fd", "rows"):
        parser.add_argument(f"--{option}", type=int, required=True)
    for option in ("row", "listen-fd", "admin-fd"):
        parser.add_argument(f"--{option}", type=int)
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
