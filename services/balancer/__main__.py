"""`python -m services.balancer --config balancer.yaml`: wiring only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version

from services.balancer.ledger import Ledger
from services.balancer.log import start_logging
from services.balancer.settings import ConfigError, load
from services.balancer.sockets import SocketError, bind_sockets, raise_open_files
from services.balancer.supervisor import Supervisor

EXIT_CANNOT_START = 1
EXIT_BAD_CONFIG = 2


def _version() -> str:
    try:
        return version("steelyard")
    except PackageNotFoundError:  # run from a plain copy of the source
        return "unknown"


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m services.balancer", description="Steelyard's load balancer."
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="the balancer's YAML file")
    parser.add_argument("--check", action="store_true", help="check the file and exit")
    parser.add_argument("--version", action="version", version=f"steelyard {_version()}")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the balancer until a signal ends it; returns the exit code."""
    arguments = _arguments(argv)
    read = partial(load, arguments.config, os.environ)
    try:
        config = read()
    except ConfigError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return EXIT_BAD_CONFIG
    if arguments.check:
        print(f"{arguments.config}: ok")
        return 0

    start_logging("supervisor")
    try:
        open_files = raise_open_files()
        sockets = bind_sockets(config.listen, config.admin, config.processes)
    except SocketError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START
    ledger = Ledger.create(rows=config.processes)
    try:
        supervisor = Supervisor(config, read, sockets, ledger, open_files=open_files)
        return asyncio.run(supervisor.run())
    finally:
        sockets.close()
        ledger.close()


if __name__ == "__main__":
    sys.exit(main())
