"""The commands of a deployment, by theme. Their work lives in the room above; here are their words.

terminal     what all share: options, the door to AWS, patience, errors as one line
life         plan, up, down, kill
look         status
"""

from __future__ import annotations

import typer

from orchestrator.deploy.commands import life, look

app = typer.Typer()
for _theme in (life, look):
    app.add_typer(_theme.app)
