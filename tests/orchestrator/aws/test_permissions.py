"""The policy that a user needs: exactly what is called, narrowed, and documented."""

from __future__ import annotations

import pytest

from orchestrator.aws.door import Call
from orchestrator.deploy.least_privilege import action_of, needed, page, policy, recorded, scoped
from orchestrator.deploy.scopes import SCOPES, UNSEEN
from tests.orchestrator.aws.recorded import PAGE, actions

_STALE = "run: make permissions"


def test_the_list_and_the_page_are_up_to_date() -> None:
    assert recorded() == actions(), _STALE
    assert page() == PAGE.read_text(), _STALE


def test_every_action_is_allowed_somewhere_and_nothing_by_a_wildcard() -> None:
    statements = policy("123456789012", "eu-west-1")["Statement"]
    allowed = {action for statement in statements for action in statement["Action"]}
    assert allowed == set(needed())
    assert not any("*" in action for action in allowed)
    sids = [statement["Sid"] for statement in statements]
    assert len(sids) == len(set(sids))
    assert "{" not in str([statement["Resource"] for statement in statements])


def test_what_changes_something_is_narrowed() -> None:
    """A condition, or ARNs; only what reads is allowed on everything."""
    for statement in policy("123456789012", "eu-west-1")["Statement"]:
        if statement["Resource"] == ["*"]:
            verbs = {action.split(":")[1] for action in statement["Action"]}
            reads = ("Describe", "Get", "List", "Simulate", "View")
            assert [v for v in verbs if not v.startswith(reads)] == [], statement["Sid"]


def test_what_takes_away_is_bound_to_our_tag_or_name() -> None:
    for row, names in scoped(needed()):
        for name in names:
            verb = name.split(":")[1]
            if verb.startswith(("Delete", "Terminate", "Release", "Put", "Update")):
                ours = "steelyard" in str(row.resources) or "steelyard" in str(row.condition)
                assert ours, name


@pytest.mark.parametrize(
    ("service", "operation", "action"),
    [
        ("ec2", "run_instances", "ec2:RunInstances"),
        ("elbv2", "create_rule", "elasticloadbalancing:CreateRule"),
        ("service-quotas", "get_service_quota", "servicequotas:GetServiceQuota"),
        ("budgets", "create_budget", "budgets:ModifyBudget"),
        ("sts", "get_caller_identity", None),
    ],
)
def test_names_of_actions(service: str, operation: str, action: str | None) -> None:
    assert action_of(Call("eu-west-1", service, operation, {})) == action


def test_rows_are_used_and_named_once() -> None:
    assert len({row.sid for row in SCOPES}) == len(SCOPES)
    assert len({name for name, _ in UNSEEN}) == len(UNSEEN)
