"""`steelyard plan | up | status | down | kill`: an AWS deployment from `deploy.yaml`."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from rich.console import Console

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.down import take_down
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.kill import enabled_regions
from orchestrator.deploy.kill import kill as kill_all
from orchestrator.deploy.load import load
from orchestrator.deploy.plan import Plan, find_all, make_plan
from orchestrator.deploy.problems import SettingsError
from orchestrator.deploy.provision import Surroundings, provision
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.settings import Deployment
from orchestrator.deploy.show import plan_shown, state_shown

_MY_ADDRESS: Final = "https://checkip.amazonaws.com"
_STATE: Final = Path.home() / ".local" / "state" / "steelyard"
# A machine boots in one or two minutes, ends in one; a group's deletion may take some more.
_PATIENCE: Final = Patience(deadline_s=900, pause_s=5)
_SETTLE: Final = Patience(deadline_s=15, pause_s=3)

app = typer.Typer()

File = Annotated[Path, typer.Option("--file", "-f", help="What to deploy.", dir_okay=False)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
State = Annotated[
    Path, typer.Option(envvar="STEELYARD_STATE", help="Folder of the journals.", file_okay=False)
]
_FILE: Final = Path("deploy.yaml")


@app.command()
def plan(file: File = _FILE) -> None:
    """Show what `up` would do on AWS, what it costs, and what would fail. Changes nothing."""
    with _one_line_errors():
        deployment = load(file)
        made = make_plan(Aws(deployment.region), deployment, _my_address)
        _console().print(plan_shown(made))
    raise typer.Exit(1 if made.failing else 0)


@app.command()
def up(file: File = _FILE, yes: Yes = False, state: State = _STATE) -> None:
    """Build the deployment on AWS, or bring it to what the file says; again: no change."""
    with _one_line_errors():
        deployment = load(file)
        aws = Aws(deployment.region)
        with _journal(aws, deployment, state) as journal:
            made = make_plan(aws, deployment, _my_address)
            if made.changes:
                _console().print(plan_shown(made))
            if made.changes and not made.failing and not yes:
                typer.confirm("Go on?", abort=True)
            provision(aws, made, journal, _surroundings())
        _say_where(aws, made)


@app.command()
def status(file: File = _FILE) -> None:
    """What exists of the deployment."""
    with _one_line_errors():
        deployment = load(file)
        found = find_all(Aws(deployment.region), Scope(deployment.name))
        _console().print(state_shown(found) if found else "nothing is there")


@app.command()
def down(file: File = _FILE, yes: Yes = False, state: State = _STATE) -> None:
    """Take the deployment away, and prove by tags and journal that nothing is left."""
    with _one_line_errors():
        deployment = load(file)
        aws = Aws(deployment.region)
        if not yes:
            what = f"{deployment.name} in {deployment.region}"
            typer.confirm(f"End all machines of {what} and delete the rest?", abort=True)
        with _journal(aws, deployment, state) as journal:
            number = take_down(aws, deployment.name, journal, _surroundings())
        _console().print(f"{number} things deleted; nothing is left")


@app.command()
def kill(
    yes: Yes = False,
    region: Annotated[
        list[str] | None, typer.Option(help="Only here. Default: every enabled region.")
    ] = None,
) -> None:
    """End every machine of every deployment in every region, at once; then delete the rest."""
    with _one_line_errors():
        aws = Aws((region or ["us-east-1"])[0])
        regions = region or enabled_regions(aws)
        if not yes:
            asked = f"End everything of the project in {len(regions)} regions?"
            typer.confirm(asked, abort=True)
        results = kill_all(aws, regions, _console().print, _PATIENCE)
    for one in results:
        if one.things or one.machines:
            _console().print(f"{one.region}: {one.machines} machines, {one.things} things")
        if one.error:
            typer.echo(f"error: {one.region}: {one.error}", err=True)
    if any(one.error for one in results):
        raise typer.Exit(1)
    _console().print(f"nothing is left in {len(regions)} regions")


def _surroundings() -> Surroundings:
    return Surroundings(
        clock=time.time,
        fresh_token=lambda: str(uuid.uuid4()),
        patience=_PATIENCE,
        settle=_SETTLE,
        report=partial(_console().print, markup=False, soft_wrap=True),
    )


def _journal(aws: Aws, deployment: Deployment, state: Path) -> Journal:
    account = aws.call("sts", "get_caller_identity")["Account"]
    return Journal(state / f"{account}-{deployment.region}-{deployment.name}.jsonl", time.time)


def _my_address() -> str:
    try:
        answer = httpx.get(_MY_ADDRESS, timeout=5).raise_for_status()
    except httpx.HTTPError as error:
        raise CloudError(
            "your public address", str(error), "switch ssh off, or try again"
        ) from error
    return answer.text.strip()


def _say_where(aws: Aws, made: Plan) -> None:
    found = find_all(aws, Scope(made.deployment))
    addresses = [one.about["ip"] for one in found if one.key.kind == "address"]
    for address in addresses:
        _console().print(f"http://{address}/ (its containers may still be starting)")


def _console() -> Console:
    return Console(highlight=False)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # so that Ctrl-C has a word, too
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2) from error
    except CloudError as error:
        typer.echo(f"error: {error}", err=True)
        if error.suggestion:
            typer.echo(f"  try: {error.suggestion}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt as error:
        typer.echo("interrupted; repeat the command, or: steelyard down", err=True)
        raise typer.Exit(130) from error
