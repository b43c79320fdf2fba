"""The commands of a deployment, by theme. Their work lives in the room above; here are their words.

terminal     what all share: options, the door to AWS, patience, errors as one line
life         plan, up, down, kill
look         status, logs, exec
change       scale, drain, roll
measure      bench
"""

from __future__ import annotations

import typer

from orchestrator.deploy.commands import change, life, look, measure

app = typer.Typer()
for _theme in (life, look, change, measure):
    app.add_typer(_theme.app)
