"""A plan and a deployment's state as tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Group as Lines
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from orchestrator.deploy.machines import PRICED_IN, PRICED_ON
from orchestrator.deploy.plan import Plan, Step
from orchestrator.deploy.resource import Found

_SIGNS: Final = {"create": "+", "change": "~", "replace": "±", "delete": "-", "keep": " "}
_STYLES: Final = {"create": "green", "change": "yellow", "replace": "magenta", "delete": "red"}
_HOURS_A_DAY: Final = 24


def plan_shown(plan: Plan) -> RenderableType:
    """Steps, checks, and what it costs."""
    summary = ", ".join(
        f"{sum(s.action == action for s in plan.steps)} to {action}" for action in _SIGNS
    )
    where = f"{plan.deployment} in {plan.region}, account {plan.account}: {summary}"
    price = (
        f"about ${plan.usd_hour:.4f} an hour, ${plan.usd_hour * _HOURS_A_DAY:.2f} a day, "
        f"without traffic, logs and metrics (list prices of {PRICED_IN}, on demand, {PRICED_ON})"
    )
    return Lines(Text(where), _steps(plan.steps), _checks(plan), Text(price))


def state_shown(found: Iterable[Found]) -> Table:
    """What exists of a deployment."""
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "id", "state"):
        table.add_column(heading)
    for one in found:
        table.add_row(one.key.kind, one.key.name, one.ident, _state(one))
    return table


def _state(found: Found) -> str:
    about = found.about
    told = ""
    if found.key.kind == "group":
        told = f"{about['in_service']} of {about['desired']} in service"
    elif found.key.kind == "instance":
        told = about["state"]
    elif found.key.kind == "address":
        told = about["ip"] + ("" if about["association"] else ", attached to nothing")
    elif found.key.kind == "load balancer":
        told = f"{about['dns']}, {about['state']}"
    return told if found.spec else f"{told} (not complete: repeat up)".strip()


def _steps(steps: Iterable[Step]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for heading in ("kind", "name"):
        table.add_column(heading, no_wrap=True)
    table.add_column("$/hour", justify="right")
    table.add_column("details")
    for step in steps:
        cost = f"{step.usd_hour:.4f}" if step.usd_hour else ""
        sign = Text(f"{_SIGNS[step.action]} {step.action}")
        style = _STYLES.get(step.action, "")
        table.add_row(sign, step.key.kind, step.key.name, cost, Text(step.details), style=style)
    return table


def _checks(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, title="checks", title_justify="left")
    for _ in range(3):
        table.add_column("")
    table.show_header = False
    styles = {"ok": "green", "fails": "red", "not checked": "dim"}
    for check in plan.checks:
        outcome = Text(check.outcome, style=styles[check.outcome])
        table.add_row(outcome, Text(check.about), Text(check.told))
    return table


def machines_shown(told: Mapping[str, Any]) -> RenderableType:
    """What `status.machines_status` found: a line a machine, then what needs attention."""
    table = Table(box=None, pad_edge=False)
    for heading in ("machine", "of", "state", "address", "version", "health"):
        table.add_column(heading)
    for one in told["machines"]:
        health = ", ".join(sorted(set(one["health"].values())))
        version = one["version"] + ("" if one["current"] else " (older)")
        state = f"{one['state']} {one['lifecycle']}".strip()
        table.add_row(one["id"], one["of"], state, one["address"], version, health)
    notes = [f"balancers: {told['balancers']}"] if told["balancers"] else []
    notes += [
        f"{g['name']}: a roll is unfinished: repeat it, or: steelyard roll --back"
        for g in told["groups"]
        if g["roll"]
    ]
    notes += [f"{m['id']} failed to boot:\n{m['boot']}" for m in told["machines"] if m["boot"]]
    return Lines(table, *(Text(note) for note in notes))
