"""`steelyard plan | up | down | kill`: a deployment from `deploy.yaml`, and back to nothing."""

from __future__ import annotations

from typing import Annotated, Final

import httpx
import typer

from orchestrator.clouds import STATE, pace
from orchestrator.deploy.commands.terminal import (
    FILE,
    File,
    State,
    Yes,
    console,
    one_line_errors,
    open_door,
    open_journal,
    surroundings,
)
from orchestrator.deploy.down import take_down
from orchestrator.deploy.drain import drain_all
from orchestrator.deploy.kill import enabled_regions
from orchestrator.deploy.kill import kill as kill_all
from orchestrator.deploy.load import load, with_ttl
from orchestrator.deploy.outside import internet
from orchestrator.deploy.plan import make_plan
from orchestrator.deploy.progress import shown
from orchestrator.deploy.provision import provision
from orchestrator.deploy.ready import wait_ready
from orchestrator.deploy.replace import Speed
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.roll import refresh_balancers
from orchestrator.deploy.show import plan_shown

app = typer.Typer()
_FRONT_S: Final = 5.0
_DRAIN_S: Final = 30.0  # of `down`, for requests under way
Ttl = Annotated[
    str | None,
    typer.Option(envvar="TTL", help="Time to live (30m, 4h, 2d) instead of the file's."),
]


@app.command()
def plan(file: File = FILE, ttl: Ttl = None) -> None:
    """Show what `up` would do on AWS, what it costs, and what would fail. Changes nothing."""
    with one_line_errors():
        deployment = with_ttl(load(file), ttl)
        made = make_plan(open_door(deployment.region), deployment, internet())
        console().print(plan_shown(made))
    raise typer.Exit(1 if made.failing else 0)


@app.command()
def up(file: File = FILE, yes: Yes = False, ttl: Ttl = None, state: State = STATE) -> None:
    """Build the deployment on AWS, or bring it to what the file says; again: no change."""
    with one_line_errors():
        deployment = with_ttl(load(file), ttl)
        aws = open_door(deployment.region)
        with open_journal(aws, deployment, state) as journal:
            made = make_plan(aws, deployment, internet())
            if made.changes:
                console().print(plan_shown(made))
            if made.changes and not made.failing and not yes:
                typer.confirm("Go on?", abort=True)
            with shown(console()) as (line, turn):
                provision(aws, made, journal, surroundings(line, turn))
            speed = Speed(notice_s=pace().notice_s)
            refresh_balancers(aws, made, speed, journal=journal, around=surroundings())
        for front in wait_ready(aws, Scope(made.deployment), status_of, surroundings()):
            console().print(f"{front.name}: {front.url}/")


@app.command()
def down(
    file: File = FILE,
    yes: Yes = False,
    now: Annotated[bool, typer.Option("--now", help="Cut what is under way.")] = False,
    state: State = STATE,
) -> None:
    """Take the deployment away, and prove by tags and journal that nothing is left."""
    with one_line_errors():
        deployment = load(file)
        aws = open_door(deployment.region)
        if not yes:
            what = f"{deployment.name} in {deployment.region}"
            typer.confirm(f"End all machines of {what} and delete the rest?", abort=True)
        with open_journal(aws, deployment, state) as journal:
            if not now:
                drain_all(aws, Scope(deployment.name), _DRAIN_S, surroundings())
            number = take_down(aws, deployment.name, journal, surroundings())
        console().print(f"{number} things deleted; nothing is left")


@app.command()
def kill(
    yes: Yes = False,
    region: Annotated[
        list[str] | None, typer.Option(help="Only here. Default: every enabled region.")
    ] = None,
) -> None:
    """End every machine of every deployment in every region, at once; then delete the rest."""
    with one_line_errors():
        aws = open_door(region[0] if region else None)
        regions = region or enabled_regions(aws)
        if not yes:
            asked = f"End everything of the project in {len(regions)} regions?"
            typer.confirm(asked, abort=True)
        results = kill_all(aws, regions, console().print, pace().patience)
    for one in results:
        if one.things or one.machines:
            console().print(f"{one.region}: {one.machines} machines, {one.things} things")
        if one.error:
            typer.echo(f"error: {one.region}: {one.error}", err=True)
    if any(one.error for one in results):
        raise typer.Exit(1)
    console().print(f"nothing is left in {len(regions)} regions")


def status_of(url: str) -> int:
    """The status of a GET; 0 when nothing answers."""
    try:
        return httpx.get(url, timeout=_FRONT_S, trust_env=False).status_code
    except httpx.HTTPError:
        return 0  # told as such: it is what the caller waits to change
