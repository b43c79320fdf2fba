"""`steelyard cloud start | stop | status | interrupt`: the local cloud's process."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestrator.aws.errors import CloudError
from orchestrator.clouds import state_folder
from orchestrator.engine import EngineError

app = typer.Typer(help="The local cloud that CLOUD=local means; other commands start it, too.")


@app.command()
def start(region: Annotated[str, typer.Option(help="Which one it plays.")] = "eu-west-1") -> None:
    """Start it where it does not run."""
    from orchestrator.localcloud.attach import attach  # noqa: PLC0415 - takes a second to load

    try:
        known = attach(
            state_folder(), region, typer.echo, lambda step: typer.echo(f"{step.done}/{step.total}")
        )
    except (CloudError, EngineError) as error:
        raise _told(error) from error
    typer.echo(f"{known.region} at {known.endpoint}, {known.scale:g} times as fast as the clock")


@app.command()
def stop() -> None:
    """End it, with every machine and image in it."""
    from orchestrator.localcloud.attach import stop  # noqa: PLC0415 - takes a second to load

    try:
        typer.echo("stopped" if stop(state_folder(), typer.echo) else "none was running")
    except CloudError as error:
        raise _told(error) from error


@app.command()
def status() -> None:
    """Where it is, if it runs."""
    from orchestrator.localcloud.attach import standing  # noqa: PLC0415 - takes a second to load

    known = standing(state_folder())
    typer.echo(f"{known.region} at {known.endpoint}" if known else "none is running")


@app.command()
def interrupt(
    instance: Annotated[str, typer.Argument(help="A spot instance, as `steelyard status` has it.")],
) -> None:
    """Take a spot instance back: a notice now, the end two cloud minutes later."""
    from orchestrator.localcloud.attach import standing  # noqa: PLC0415 - takes a second to load
    from orchestrator.localcloud.doors import ask_to_interrupt  # noqa: PLC0415 - likewise

    known = standing(state_folder())
    try:
        if known is None:
            raise CloudError("local cloud", "none is running", "steelyard cloud start")
        typer.echo(f"{instance} ends at {ask_to_interrupt(known.endpoint, instance)}")
    except CloudError as error:
        raise _told(error) from error


def _told(error: CloudError | EngineError) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    if error.suggestion:
        typer.echo(f"  try: {error.suggestion}", err=True)
    return typer.Exit(1)
