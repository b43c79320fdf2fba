"""`python -m loadtest.lifecycle`: play the life of a deployment on the local cloud, and time it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from loadtest.lifecycle.report import markdown, missed, update_docs
from loadtest.lifecycle.story import StepFailed, Story

DOCS: Final = Path(__file__).parents[2] / "docs" / "local-cloud.md"


def main(
    count: Annotated[int, typer.Option(min=1, max=8, help="Workers in each cluster.")] = 4,
    docs: Annotated[
        bool, typer.Option("--update-docs", help="Write the tables into docs/local-cloud.md.")
    ] = False,
) -> None:
    """Needs a Docker engine and both images; takes about ten minutes. Exit 1: a mark missed."""
    with tempfile.TemporaryDirectory(prefix="steelyard-life-") as folder:
        story = Story(Path(folder), count, lambda line: typer.echo(line, err=True))
        try:
            steps = asyncio.run(story.play())
        except StepFailed as failed:
            typer.echo(f"lifecycle: {failed}", err=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            typer.echo("lifecycle: interrupted; the local cloud is gone", err=True)
            raise typer.Exit(130) from None
    text = markdown(steps, count, f"{os.cpu_count()} cores")
    typer.echo(text)
    if docs:
        update_docs(text, DOCS)
    for line in (late := missed(steps)):
        typer.echo(f"missed: {line}", err=True)
    sys.exit(1 if late else 0)


if __name__ == "__main__":
    typer.run(main)
