"""The sub-commands of `steelyard`. Each one's work lives in its room; here are only its words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator import cloud_commands, images_cli
from orchestrator.deploy import commands as deployment
from orchestrator.local.guard import guarded

app = typer.Typer(
    name="steelyard",
    help="A load balancer for unequal machines, its workers, and the proof of what it is worth.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(images_cli.app, name="images")
app.add_typer(cloud_commands.app, name="cloud")
app.add_typer(deployment.app)

Results = Annotated[Path, typer.Option(help="Folder for reports and logs.", file_okay=False)]
Port = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="The balancer's port. Default: 8000, or a free one."),
]
AdminPort = Annotated[
    int | None,
    typer.Option(min=1, max=65535, help="Its admin API's port. Default: 9900, or a free one."),
]


@app.command()
def demo(
    results: Results = Path("results"), port: Port = None, admin_port: AdminPort = None
) -> None:
    """Start the fleet on this machine, measure it with k6, write the report, stop everything."""

    def work() -> int:
        from orchestrator.local import demo  # noqa: PLC0415 - half a second, under guard already

        return demo.run(results, fixed=_fixed(port, admin_port))

    raise typer.Exit(guarded(work))


@app.command()
def local(
    results: Results = Path("results"), port: Port = None, admin_port: AdminPort = None
) -> None:
    """Keep the fleet up on this machine until Ctrl-C."""

    def work() -> int:
        from orchestrator.local import serve  # noqa: PLC0415 - half a second, under guard already

        return serve.run(results, fixed=_fixed(port, admin_port))

    raise typer.Exit(guarded(work))


def _fixed(port: int | None, admin_port: int | None) -> dict[str, int]:
    """Ports that the user insists on, by program."""
    asked = {"balancer": port, "admin": admin_port}
    return {name: value for name, value in asked.items() if value is not None}
