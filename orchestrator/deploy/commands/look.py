"""`steelyard status`: what there is. Changes nothing."""

from __future__ import annotations

import typer

from orchestrator.deploy.commands.terminal import FILE, File, console, one_line_errors, open_door
from orchestrator.deploy.load import load
from orchestrator.deploy.plan import find_all
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.show import state_shown

app = typer.Typer()


@app.command()
def status(file: File = FILE) -> None:
    """What exists of the deployment."""
    with one_line_errors():
        deployment = load(file)
        found = find_all(open_door(deployment.region), Scope(deployment.name))
        console().print(state_shown(found) if found else "nothing is there")
