"""May the caller do what `up` and `down` will do? IAM's own simulator is asked.

It is asked with the ARNs and tags that the calls will bear, so a narrow policy passes. What it
cannot decide (a condition on something it was not told, organisation rules, a refusal to answer)
is not checked rather than failed.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.least_privilege import arns, needed, scoped
from orchestrator.deploy.scopes import Scope
from services.contract import PROJECT, TAG_PROJECT

_SHOWN: Final = 5
_CONTEXT: Final = {
    f"aws:RequestTag/{TAG_PROJECT}": PROJECT,
    f"aws:ResourceTag/{TAG_PROJECT}": PROJECT,
    "iam:PassedToService": "ec2.amazonaws.com",
    "iam:AWSServiceName": "autoscaling.amazonaws.com",
}
# Asked for in the running of the command itself, or only in an account's first days.
_NOT_ASKED: Final = frozenset({"iam:CreateServiceLinkedRole", "iam:SimulatePrincipalPolicy"})
_SOME: Final = "check"  # stands for the wildcard of an ARN
_MOST: Final = 1000  # results in one answer


def denied(aws: Aws, caller: str, account: str) -> tuple[list[str], list[str]]:
    """Actions that IAM denies to the caller (an ARN), and those that it could not decide.

    Errors:
        CloudError: the simulator does not answer.
    """
    source = _principal(aws, caller)
    if source is None:
        return [], []
    refused: set[str] = set()
    unclear: set[str] = set()
    for row, actions in scoped(set(needed()) - _NOT_ASKED):
        for result in _simulate(aws, source, row, actions, account):
            name, places = result["EvalActionName"], result.get("ResourceSpecificResults") or ()
            decisions = [place["EvalResourceDecision"] for place in places]
            # One place is enough: not every action of a row takes every kind of its resources.
            if "allowed" in (decisions or [result["EvalDecision"]]):
                continue
            unknown = any(one.get("MissingContextValues") for one in (result, *places))
            (unclear if unknown else refused).add(name)
    return sorted(refused), sorted(unclear - refused)


def told(actions: list[str]) -> str:
    """A short list for the terminal."""
    more = f" and {len(actions) - _SHOWN} more" if len(actions) > _SHOWN else ""
    return ", ".join(actions[:_SHOWN]) + more


def _principal(aws: Aws, caller: str) -> str | None:
    """Whose policies count: of an assumed role, the role's. None for the root user, who may all."""
    kind, _, rest = caller.rpartition(":")[2].partition("/")
    if kind == "root":
        return None
    if kind == "assumed-role":
        role = aws.once("iam", "get_role", RoleName=rest.partition("/")[0])
        return str(role["Role"]["Arn"])
    if kind != "user":
        raise CloudError("permissions", f"the keys are neither a user's nor a role's: {caller}")
    return caller.replace(":sts:", ":iam:")


def _simulate(
    aws: Aws, source: str, row: Scope, actions: tuple[str, ...], account: str
) -> list[dict[str, Any]]:
    context = {**_CONTEXT, "aws:RequestedRegion": aws.region}
    answer = aws.once(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=source,
        ActionNames=list(actions),
        ResourceArns=[
            arn if arn == "*" else arn.replace("*", _SOME) for arn in arns(row, account, aws.region)
        ],
        ContextEntries=[
            {"ContextKeyName": key, "ContextKeyValues": [value], "ContextKeyType": "string"}
            for key, value in context.items()
        ],
        MaxItems=_MOST,
    )
    return list(answer["EvaluationResults"])
