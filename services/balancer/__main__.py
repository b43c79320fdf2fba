"""`python -m services.balancer --config balancer.yaml`: wiring only."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from services.balancer.announce import remove_pid_file, serving
from services.balancer.ledger import Ledger
from services.balancer.log import start_logging
from services.balancer.settings import ConfigError, load
from services.balancer.sockets import SocketError, bind_sockets, raise_open_files
from services.balancer.supervisor import Supervisor
from services.balancer.upgrade import (
    OPTION,
    Inheritance,
    TakeOverError,
    needs_restart,
)

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
    parser.add_argument("--pid-file", type=Path, metavar="FILE", help="where to write who serves")
    parser.add_argument(OPTION, type=int, help=argparse.SUPPRESS)  # an upgrade's own
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
    inherited: Inheritance | None = None
    try:
        open_files = raise_open_files()
        if arguments.take_over_fd is None:
            sockets = bind_sockets(config.listen, config.admin, config.processes)
        else:
            inherited = Inheritance(arguments.take_over_fd)
            sockets = inherited.sockets
            if problems := needs_restart(inherited.settings, config):
                print("\n".join(problems), file=sys.stderr)
                return EXIT_BAD_CONFIG
    except (SocketError, TakeOverError) as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START
    ledger = Ledger.create(rows=config.processes)
    try:
        supervisor = Supervisor(
            config,
            read,
            sockets,
            ledger,
            open_files=open_files,
            inherited=inherited,
            on_serving=partial(serving, os.environ, arguments.pid_file),
        )
        return asyncio.run(supervisor.run())
    finally:
        if arguments.pid_file is not None:
            remove_pid_file(arguments.pid_file, os.getpid())
        sockets.close()
        ledger.close()


if __name__ == "__main__":
    sys.exit(main())
