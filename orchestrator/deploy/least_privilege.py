"""The IAM policy that a user needs for `images push`, `plan`, `up`, `down`: no more than is called.

`actions.txt` beside this file has every action that was recorded while the tests ran the commands;
`UNSEEN` what recordings don't show; `SCOPES` where each is allowed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from orchestrator.aws.door import Call
from orchestrator.deploy.scopes import EVERYWHERE, NOT_SCOPED, SCOPES, UNSEEN, Scope

RECORDED: Final = Path(__file__).with_name("actions.txt")
# IAM's prefix where it is not boto3's name of the service.
_PREFIXES: Final = {
    "elbv2": "elasticloadbalancing",
    "service-quotas": "servicequotas",
    "resourcegroupstaggingapi": "tag",
}
_FREE: Final = ("sts:GetCallerIdentity",)  # asks for no permission
# Operations whose permission has another name. Source: AWS Budgets, "Actions".
_RENAMED: Final = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:UpdateBudget": "budgets:ModifyBudget",
    "budgets:DeleteBudget": "budgets:ModifyBudget",
    "budgets:DescribeBudget": "budgets:ViewBudget",
    "budgets:DescribeBudgets": "budgets:ViewBudget",
}

_PAGE: Final = """# The permissions that a user needs

This page is generated: `make permissions`. A test fails when it is stale.

The policy below is enough for `images push`, `plan`, `up`, `down` and `kill` of any deployment in
one account and one region; put both into it. Its actions are those that were recorded while the
tests ran these commands against an emulator of the API, and the unseen ones below. It is narrowed
by names, paths and tags where AWS can do so. **No emulator checks such a policy: neither the ARNs
nor the conditions have been tried on AWS.** `make plan` asks IAM's simulator for each action,
with the ARNs and tags that the calls will bear.

Whoever may create roles and pass them to a machine may do on that machine whatever he writes into
the role. The paths keep this to roles of this project, not to harmless ones; where that is too
much, add a permissions boundary.

```json
{policy}
```

## What recordings don't show

| action | why |
|---|---|
{unseen}

## Not narrowed further

{notes}
- `Look`: AWS takes no resource for these.
"""


def action_of(call: Call) -> str | None:
    """IAM's name for a call, such as `ec2:RunInstances`; None where none is asked for."""
    name = "".join(part.capitalize() for part in call.operation.split("_"))
    action = f"{_PREFIXES.get(call.service, call.service)}:{name}"
    return None if action in _FREE else _RENAMED.get(action, action)


def recorded() -> tuple[str, ...]:
    """Every action that the commands were seen to use."""
    return tuple(RECORDED.read_text().split())


def scoped(actions: Iterable[str]) -> list[tuple[Scope, tuple[str, ...]]]:
    """The actions by the row that holds them, in the order of the rows."""
    rows: dict[str, tuple[Scope, list[str]]] = {}
    for action in sorted(set(actions)):
        row = next(s for s in (EVERYWHERE, *SCOPES, NOT_SCOPED) if s.holds(action))
        rows.setdefault(row.sid, (row, []))[1].append(action)
    order = [row.sid for row in (EVERYWHERE, *SCOPES, NOT_SCOPED)]
    return [(rows[sid][0], tuple(rows[sid][1])) for sid in sorted(rows, key=order.index)]


def needed() -> tuple[str, ...]:
    """All actions, seen and unseen."""
    return tuple(sorted({*recorded(), *(action for action, _ in UNSEEN)}))


def policy(account: str, region: str, actions: Iterable[str] | None = None) -> dict[str, Any]:
    """The policy document for one account and region."""
    statements = []
    for row, names in scoped(needed() if actions is None else actions):
        statement: dict[str, Any] = {"Sid": row.sid, "Effect": "Allow", "Action": list(names)}
        statement["Resource"] = arns(row, account, region)
        if row.condition:
            statement["Condition"] = row.condition
        statements.append(statement)
        if row.sid == "TagWhatIsMade":
            statements.append(_retag(account, region))
    return {"Version": "2012-10-17", "Statement": statements}


def arns(row: Scope, account: str, region: str) -> list[str]:
    """The row's resources as ARNs of one account and region."""
    return [arn.format(account=account, region=region) for arn in row.resources]


def page() -> str:
    """The documentation of it all, as Markdown."""
    document = json.dumps(policy("ACCOUNT", "REGION"), indent=2)
    seen = set(recorded())
    unseen = "\n".join(f"| `{name}` | {why} |" for name, why in UNSEEN if name not in seen)
    notes = "\n".join(f"- `{row.sid}`: {row.why}." for row, _ in scoped(needed()) if row.why)
    return _PAGE.format(policy=document, unseen=unseen, notes=notes)


def _retag(account: str, region: str) -> dict[str, Any]:
    """The seal is a tag on what is there already: the request has no project's tag then."""
    ours = next(row for row in SCOPES if row.sid == "ChangeOwn")
    return {
        "Sid": "TagOwn",
        "Effect": "Allow",
        "Action": ["ec2:CreateTags"],
        "Resource": arns(ours, account, region),
        "Condition": ours.condition,
    }
