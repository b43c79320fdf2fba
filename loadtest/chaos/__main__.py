"""`python -m loadtest.chaos --seed 1 --seconds 240`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from loadtest.chaos.balancer import ChaosError
from loadtest.chaos.drive import Plan, drive
from loadtest.chaos.plan import Kind
from loadtest.chaos.report import lines

EXIT_LOST = 1
EXIT_CANNOT_RUN = 2


def main(argv: list[str] | None = None) -> int:
    """0: it held; 1: it did not; 2: it could not be run."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="order and victims of the faults")
    parser.add_argument("--seconds", type=float, default=240.0, help="how long faults strike")
    parser.add_argument("--rate", type=float, default=500.0, help="requests a second")
    parser.add_argument("--hold", type=float, default=2.0, help="how long a fault lasts, seconds")
    parser.add_argument("--only", nargs="+", choices=[kind.name.lower() for kind in Kind])
    parser.add_argument("--folder", type=Path, help="keep logs here (default: a temporary one)")
    arguments = parser.parse_args(argv)
    kinds = tuple(Kind[name.upper()] for name in arguments.only or ()) or tuple(Kind)
    plan = Plan(
        seed=arguments.seed,
        seconds=arguments.seconds,
        rate=arguments.rate,
        hold_s=arguments.hold,
        kinds=kinds,
    )
    try:
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            folder = arguments.folder or Path(temporary)
            folder.mkdir(parents=True, exist_ok=True)
            return _run(plan, folder)
    except ChaosError as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_RUN
    except KeyboardInterrupt:
        return 130


def _run(plan: Plan, folder: Path) -> int:
    outcome = asyncio.run(drive(plan, folder, lambda line: print(line, flush=True)))
    print()
    for line in lines(
        outcome.verdict, outcome.ending, seconds=outcome.seconds, late_s=outcome.late_s
    ):
        print(line)
    return 0 if outcome.verdict.held else EXIT_LOST


if __name__ == "__main__":
    sys.exit(main())
