"""`steelyard status | logs | exec | template`: what there is, what it wrote,
a command on a machine.

`template` shows what there would be, in CloudFormation's words.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from orchestrator.aws.errors import CloudError
from orchestrator.clouds import pace
from orchestrator.deploy.commands.terminal import FILE, File, console, one_line_errors, open_door
from orchestrator.deploy.desired import desire
from orchestrator.deploy.facts import gather
from orchestrator.deploy.fronts import fronts_of
from orchestrator.deploy.load import load
from orchestrator.deploy.logs import Tail, streams
from orchestrator.deploy.members import members
from orchestrator.deploy.outside import internet
from orchestrator.deploy.plan import find_all
from orchestrator.deploy.remote import run
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.show import machines_shown, state_shown
from orchestrator.deploy.status import machines_status
from orchestrator.deploy.template.document import MAX_INLINE_BYTES, as_yaml, document
from orchestrator.deploy.template.document import as_json as json_of

app = typer.Typer()
_UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_FOLLOW_S: Final = 2.0


@app.command()
def status(
    file: File = FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """What exists: things, machines, their health in each balancer, failed boots, addresses."""
    with one_line_errors():
        deployment = load(file)
        aws, scope = open_door(deployment.region), Scope(deployment.name)
        found = find_all(aws, scope)
        told = machines_status(aws, scope, pace().patience)
        doors = fronts_of(found)
        if as_json:
            things = [{"kind": f.key.kind, "name": f.key.name, "id": f.ident} for f in found]
            addresses = [{"front": door.name, "url": door.url} for door in doors]
            typer.echo(json.dumps({"addresses": addresses, "things": things, **told}, indent=2))
            return
        console().print(state_shown(found) if found else "nothing is there")
        if told["machines"]:
            console().print(machines_shown(told))
        for door in doors:
            console().print(f"{door.name}: {door.url}/")


@app.command()
def logs(
    target: Annotated[
        str | None, typer.Argument(help="A cluster, `balancer` or an instance. Default: all.")
    ] = None,
    file: File = FILE,
    follow: Annotated[bool, typer.Option("--follow", help="Until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="How far back: 90s, 10m, 4h, 1d.")] = "10m",
) -> None:
    """What the containers wrote, oldest first."""
    with one_line_errors():
        back = re.fullmatch(r"(\d+)([smhd])", since)
        if back is None:
            raise CloudError(f"--since {since}", "not a duration", "90s, 10m, 4h or 1d")
        deployment = load(file)
        aws = open_door(deployment.region)
        wanted = streams(members(aws, Scope(deployment.name)), target)
        begin_ms = int((time.time() - int(back[1]) * _UNITS_S[back[2]]) * 1000)
        tail = Tail(aws, deployment.name, wanted, begin_ms)
        while True:
            for line in tail.look():
                at = datetime.fromtimestamp(line.at_ms / 1000, UTC).strftime("%H:%M:%S")
                typer.echo(f"{at} {line.stream} {line.text}")
            if not follow:
                return
            time.sleep(_FOLLOW_S)  # the API can only be asked again


@app.command(name="exec", context_settings={"ignore_unknown_options": True})
def execute(
    target: Annotated[str, typer.Argument(help="An instance.")],
    command: Annotated[list[str], typer.Argument(help="What to run there, after --.")],
    file: File = FILE,
    timeout_s: Annotated[int, typer.Option(min=1, max=3600)] = 60,
) -> None:
    """Run a command on a machine as root, by SSM, without SSH; its exit status is passed on."""
    with one_line_errors():
        deployment = load(file)
        aws = open_door(deployment.region)
        known = [m.ident for m in members(aws, Scope(deployment.name)).machines]
        if target not in known:
            names = ", ".join(known) or "no machine"
            raise CloudError(f"exec {target}", "not of this deployment", f"there is {names}")
        script = shlex.join(command)
        ran = run(aws, [target], script, pace().patience, timeout_s=timeout_s, about="exec")[target]
        typer.echo(ran.output, nl=False)
        typer.echo(ran.errors, nl=False, err=True)
    raise typer.Exit(ran.status if ran.status >= 0 else 1)


@app.command()
def template(
    file: File = FILE,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of YAML.")] = False,
) -> None:
    """The deployment as a CloudFormation template, on standard output. Changes nothing."""
    with one_line_errors():
        deployment = load(file)
        facts = gather(open_door(deployment.region), deployment, internet())
        failing = [check for check in facts.checks if check.outcome == "fails"]
        if failing:
            told = "; ".join(f"{check.about}: {check.told}" for check in failing)
            raise CloudError(f"template of {deployment.name}", told, "steelyard plan")
        made = document(deployment, desire(deployment, facts), time.time())
        text = json_of(made) if as_json else as_yaml(made)
        typer.echo(text, nl=False)
        if len(text.encode()) > MAX_INLINE_BYTES:
            told = f"{len(text.encode())} bytes: more than create-stack takes inline; put it on S3"
            typer.echo(told, err=True)
