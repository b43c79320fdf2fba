"""What the commands share: options, the door to AWS, patience, errors as one line."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Report
from orchestrator.clouds import ENV_STATE, open_aws, pace
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.problems import SettingsError
from orchestrator.deploy.progress import Show, unseen
from orchestrator.deploy.provision import Surroundings
from orchestrator.deploy.settings import Deployment
from orchestrator.engine import EngineError

FILE: Final = Path("deploy.yaml")

File = Annotated[Path, typer.Option("--file", "-f", help="What to deploy.", dir_okay=False)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
State = Annotated[
    Path, typer.Option(envvar=ENV_STATE, help="Folder of the journals.", file_okay=False)
]


def open_door(region: str | None) -> Aws:
    """The door that every command goes through, to AWS or the local cloud.

    Errors:
        CloudError, EngineError: it cannot be opened.
    """
    return open_aws(region, partial(typer.echo, err=True))


def console() -> Console:
    """Standard output, made anew for each use: a test may have replaced it."""
    return Console(highlight=False)


def report(line: str) -> None:
    """One line of progress, as it is."""
    console().print(line, markup=False, soft_wrap=True)


def surroundings(report: Report = report, show: Show = unseen) -> Surroundings:
    """Time, chance, patience and the terminal."""
    return Surroundings(
        clock=time.time,
        fresh_token=lambda: str(uuid.uuid4()),
        patience=pace().patience,
        settle=pace().settle,
        report=report,
        show=show,
    )


def open_journal(aws: Aws, deployment: Deployment, state: Path) -> Journal:
    """The journal of a deployment in an account. Raises CloudError."""
    account = aws.call("sts", "get_caller_identity")["Account"]
    return Journal(state / f"{account}-{deployment.region}-{deployment.name}.jsonl", time.time)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """No traceback: what went wrong and what to do, and an exit status that says so."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C has a word, too
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2) from error
    except (CloudError, EngineError) as error:
        typer.echo(f"error: {error}", err=True)
        if error.suggestion:
            typer.echo(f"  try: {error.suggestion}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("interrupted; repeat the command, or: steelyard down", err=True)
        raise typer.Exit(130) from error
