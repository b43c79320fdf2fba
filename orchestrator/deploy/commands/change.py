"""`steelyard scale | drain | roll`: changes to what runs, without a lost request."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import typer

from orchestrator.aws.errors import CloudError
from orchestrator.clouds import STATE, pace
from orchestrator.deploy.commands.terminal import (
    FILE,
    File,
    State,
    console,
    one_line_errors,
    open_door,
    open_journal,
    surroundings,
)
from orchestrator.deploy.drain import DEADLINE_S, balancers_of, targets_of
from orchestrator.deploy.drain import drain as drain_machines
from orchestrator.deploy.gate import MAX_ERROR_RATE
from orchestrator.deploy.load import load
from orchestrator.deploy.members import members
from orchestrator.deploy.outside import internet
from orchestrator.deploy.plan import make_plan
from orchestrator.deploy.replace import Speed
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.roll import roll as roll_workers
from orchestrator.deploy.roll import roll_back, roll_balancers
from orchestrator.deploy.scale import scale as scale_groups
from orchestrator.deploy.settings import Tags

app = typer.Typer()


@app.command()
def scale(
    sizes: Annotated[list[str], typer.Argument(help="cluster1=6 cluster2=3")],
    file: File = FILE,
    state: State = STATE,
) -> None:
    """Set how many machines clusters have now; ends when they serve, or are drained and gone."""
    with one_line_errors():
        wanted = {}
        for text in sizes:
            name, _, number = text.partition("=")
            if not number.isdigit():
                raise CloudError(f"scale {text}", "not a size", "write cluster1=6")
            wanted[name] = int(number)
        deployment = load(file)
        aws = open_door(deployment.region)
        with open_journal(aws, deployment, state) as journal:
            scale_groups(aws, deployment, wanted, journal, surroundings())
        console().print("done")


@app.command()
def drain(
    target: Annotated[str, typer.Argument(help="An instance, or its private ip:port.")],
    file: File = FILE,
    undo: Annotated[bool, typer.Option("--undo", help="Let it have requests again.")] = False,
    deadline_s: Annotated[float, typer.Option(min=0)] = DEADLINE_S,
) -> None:
    """No new requests to a machine, in any balancer; waits until none is under way."""
    with one_line_errors():
        deployment = load(file)
        aws = open_door(deployment.region)
        now = members(aws, Scope(deployment.name))
        found = [m for m in now.machines if target in (m.ident, m.host) and m.cluster]
        found = found or [m for m in now.machines if m.cluster and target.startswith(f"{m.host}:")]
        if not found:
            raise CloudError(f"drain {target}", "no such worker", "steelyard status lists them")
        around = surroundings()
        balancers = balancers_of(aws, now, around)
        if undo:
            balancers.undrain(targets_of(found, balancers.look()))
            console().print(f"{target} takes requests again")
        elif drain_machines(balancers, found, deadline_s, around):
            console().print(f"{target} is drained")
        else:
            raise typer.Exit(1)


@app.command()
def roll(
    *,
    file: File = FILE,
    cluster: Annotated[list[str] | None, typer.Option(help="Default: all.")] = None,
    batch: Annotated[str, typer.Option(help="Machines at a time: 1, or 25%.")] = "1",
    pause_s: Annotated[float, typer.Option("--pause", min=0, help="Between batches.")] = 0,
    warm_s: Annotated[float, typer.Option("--warm", min=0, help="Healthy for so long.")] = 10,
    image_tag: Annotated[str | None, typer.Option(help="Not the image pushed last.")] = None,
    max_error_rate: Annotated[float, typer.Option(min=0, max=1)] = MAX_ERROR_RATE,
    balancer: Annotated[bool, typer.Option("--balancer", help="Balancers, not workers.")] = False,
    back: Annotated[bool, typer.Option("--back", help="Take back one that is unfinished.")] = False,
    state: State = STATE,
) -> None:
    """Replace workers (or balancers) by a new version: new up, healthy, warm; old drained, gone.

    Or back again.
    """
    with one_line_errors():
        if balancer and cluster:
            raise CloudError("roll --balancer", "balancers are of no cluster", "leave one out")
        deployment = load(file)
        if image_tag is not None:
            room = {name: deployment.tag_of(name) for name in ("balancer", "worker")}
            room["balancer" if balancer else "worker"] = image_tag
            deployment = deployment.model_copy(update={"image_tag": Tags(**room)})
        aws = open_door(deployment.region)
        speed = Speed(
            batch=batch_of(batch),
            pause_s=pause_s,
            warm_s=warm_s,
            notice_s=pace().notice_s,
            max_error_rate=max_error_rate,
        )
        with open_journal(aws, deployment, state) as journal:
            around = surroundings()
            if back:
                number = roll_back(aws, deployment.name, speed, journal, around)
            elif balancer:
                made = make_plan(aws, deployment, internet())
                number = roll_balancers(aws, made, speed, journal=journal, around=around)
            else:
                made = make_plan(aws, deployment, internet())
                names = cluster or [one.name for one in deployment.clusters]
                number = roll_workers(aws, made, names, speed, journal=journal, around=around)
        console().print(f"{number} machines replaced")
        if image_tag is not None:
            console().print(f"the next up or roll goes to the newest image; keep: {image_tag}")


def batch_of(text: str) -> int | Fraction:
    number = text.removesuffix("%")
    if not number.isdigit() or int(number) == 0:
        raise CloudError(f"--batch {text}", "not a number of machines", "1, or 25%")
    return Fraction(int(number), 100) if text.endswith("%") else int(number)
