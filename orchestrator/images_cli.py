"""`steelyard images`: build both images, push them; progress and sizes on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from orchestrator import ecr, images, push, registry
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.commands.terminal import open_door
from orchestrator.deploy.load import load
from orchestrator.deploy.problems import SettingsError
from orchestrator.engine import EngineError, connected

# Steps of a Dockerfile that take no time; a log is easier to read without them.
_INSTANT_STEPS = ("ARG", "CMD", "ENTRYPOINT", "ENV", "EXPOSE", "HEALTHCHECK", "LABEL", "STOPSIGNAL")

_FILE = Path("deploy.yaml")

app = typer.Typer(help="Build the images of worker and balancer, and push them.")

BaseName = Annotated[
    str, typer.Option("--base", envvar=images.ENV_BASE, help="The Python image under both.")
]
CaBundle = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="PIP_CERT", exists=True, dir_okay=False, help="CA bundle for pip in builds."
    ),
]

Compiled = Annotated[
    bool,
    typer.Option(
        envvar=images.ENV_COMPILED,
        help="The balancer's hot modules as machine code: three minutes more, once a version.",
    ),
]


@app.command("build")
def build_command(
    base: BaseName = images.DEFAULT_BASE, ca: CaBundle = None, compiled: Compiled = True
) -> None:
    """Build both images, tagged by their content and as `latest`; the balancer is compiled."""
    with _one_line_errors(), connected() as client, _Progress() as progress:
        python = images.find_base(client, base, progress.step)
        plans = [
            images.plan_image(images.ROOT, room, python, ca=ca, compiled=compiled)
            for room in images.ROOMS
        ]
        built = [images.build(client, plan, progress.step) for plan in plans]
    _console().print(sizes(built, python))


@app.command("push")
def push_command(
    registry_name: Annotated[
        str,
        typer.Option(
            "--registry",
            envvar="REGISTRY",
            help="host[:port][/path]. Default: ECR, where the deployment's file says.",
        ),
    ] = "",
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The deployment.", dir_okay=False)
    ] = _FILE,
    username: Annotated[str, typer.Option(help="Log in with this name; not for ECR.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read its password from standard input.")
    ] = False,
) -> None:
    """Push what `build` made: to ECR under its content tag, elsewhere also as `latest`."""
    with _one_line_errors():
        region = _ecr_region(registry_name, file)
        auth = None
        if username and region is None:
            password = sys.stdin.readline().rstrip("\n") if password_stdin else ""
            password = password or typer.prompt("Password", hide_input=True)
            auth = registry.RegistryAuth(username=username, password=password)
        with connected() as client, _Progress() as progress:
            if region is None:
                outcomes = list(push.to_registry(client, registry_name, progress.push, auth))
            else:
                aws = _door(region, registry_name)
                outcomes = list(push.to_ecr(client, aws, progress.push))
    for image in outcomes:
        word = "pushed" if image.sent else "already there:"
        _console().print(f"{word} {image.repository}:{image.tag} {image.digest}", soft_wrap=True)
        if image.note:
            typer.echo(f"note: {image.note}", err=True)


@app.command("remove")
def remove_command(
    file: Annotated[
        Path, typer.Option("--file", "-f", help="The deployment.", dir_okay=False)
    ] = _FILE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete the repositories in ECR that `push` made, with every image; `down` leaves them."""
    with _one_line_errors():
        region = load(file).region
        if not yes:
            typer.confirm(f"Delete both repositories of {region} and their images?", abort=True)
        gone = ecr.remove(_door(region))
    _console().print(f"deleted: {', '.join(gone)}" if gone else "no repository of ours is there")


def _ecr_region(registry_name: str, file: Path) -> str | None:
    """Where in ECR to push to; None for another registry."""
    if registry_name:
        return ecr.region_of(registry_name)
    if not file.exists():
        raise EngineError(
            f"where to? there is no {file}", "REGISTRY=localhost:5000, or copy deploy.example.yaml"
        )
    return load(file).region


def _door(region: str, registry_name: str = "") -> Aws:
    """AWS in `region`; the account of the keys must be the registry's."""
    aws = open_door(region)
    if registry_name:
        account = aws.call("sts", "get_caller_identity")["Account"]
        mine = ecr.host(account, region)
        if not registry_name.startswith(f"{account}."):
            raise CloudError(
                f"push to {registry_name}", f"the keys are of account {account}", f"push to {mine}"
            )
    return aws


def sizes(built: list[images.BuiltImage], base: images.Base) -> Table:
    """What was built and how large it is, in MB of 10^6 bytes."""
    table = Table(box=None, pad_edge=False, title=f"base {base.name}", title_justify="left")
    for heading in ("image", "tag", "MB", "MB over base", ""):
        table.add_column(heading, justify="right" if "MB" in heading else "left", no_wrap=True)
    for image in built:
        table.add_row(
            image.name,
            image.tag,
            f"{image.size_bytes / 1e6:.1f}",
            f"{image.over_base_bytes / 1e6:.1f}",
            "unchanged" if image.reused else "built",
        )
    return table


class _Progress:
    """Bars on a terminal, one line a step elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.fields[name]}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=self._console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str] = {}

    def __enter__(self) -> _Progress:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:
            self._bars.stop()

    def step(self, step: images.Step) -> None:
        if step.text.startswith(_INSTANT_STEPS) and not self._console.is_terminal:
            return
        self._show(
            step.image,
            step.done,
            step.total,
            step.text,
            plain=f"{step.done}/{step.total} {step.text}",
        )

    def push(self, push: registry.PushProgress) -> None:
        layers = f"{push.layers_done} of {push.layers} layers"
        megabytes = f"{push.sent_bytes / 1e6:.1f} of {push.known_bytes / 1e6:.1f} MB"
        self._show(
            push.reference, push.layers_done, push.layers, f"{layers}, {megabytes}", plain=layers
        )

    def _show(self, name: str, done: int, total: int, text: str, *, plain: str) -> None:
        if not self._console.is_terminal:
            if self._said.get(name) != plain:
                self._said[name] = plain
                line = f"{name}: {plain}"
                self._console.print(line[:100], markup=False, highlight=False, soft_wrap=True)
            return
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task("", name=name, total=None)
        self._bars.update(
            self._tasks[name], completed=done, total=total or None, description=text[:80]
        )


def _console() -> Console:
    return Console(highlight=False)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        raise typer.Exit(2) from error
    except (EngineError, CloudError) as error:
        typer.echo(f"error: {error}", err=True)
        if error.suggestion:
            typer.echo(f"  try: {error.suggestion}", err=True)
        raise typer.Exit(1) from error
