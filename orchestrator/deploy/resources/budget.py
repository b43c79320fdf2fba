"""The monthly budget. Budgets are the account's: the name has the region.

One call makes it whole, with its notifications, and its name has the digest of what it was made
from: so it needs no tag, and a change is another budget.
"""

from __future__ import annotations

import re
from typing import Any

from orchestrator.aws.door import Aws
from orchestrator.deploy.resource import Found, Making, Scope
from orchestrator.deploy.resource import Key as KeyOf
from orchestrator.deploy.resources.gone import unless
from services.contract import PROJECT, TAG_DEPLOYMENT

# (kind of spending, percent of the limit)
NOTIFIED = (("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
_NAME = re.compile(
    rf"{PROJECT}-(?P<deployment>.+)-(?P<region>[a-z]{{2}}(-[a-z]+)+-\d)-(?P<digest>[0-9a-f]{{16}})"
)


class Budget:
    """Spec: account, deployment, usd_month, email. Its id is account and name."""

    name = "budget"
    replaced = True

    def find(self, aws: Aws, scope: Scope) -> list[Found]:
        account = aws.call("sts", "get_caller_identity")["Account"]
        budgets = []
        for one in aws.pages("budgets", "describe_budgets", "Budgets", AccountId=account):
            match = _NAME.fullmatch(one["BudgetName"])
            if match is None or match["region"] != aws.region:
                continue
            if scope.deployment in (None, match["deployment"]):
                ident = f"{account}/{one['BudgetName']}"
                key = KeyOf(self.name, "month")
                budgets.append(Found(key=key, ident=ident, spec=match["digest"]))
        return budgets

    def create(self, aws: Aws, making: Making) -> str:
        spec = making.spec
        name = f"{PROJECT}-{spec['deployment']}-{aws.region}-{making.digest}"
        with unless("DuplicateRecordException"):
            aws.call(
                "budgets",
                "create_budget",
                AccountId=spec["account"],
                **budget_data(name, spec["deployment"], spec["usd_month"], spec["email"]),
            )
        return f"{spec['account']}/{name}"

    def complete(self, aws: Aws, ident: str, making: Making) -> None:
        """Nothing to add: it is whole when it exists."""

    def seal(self, aws: Aws, ident: str, digest: str) -> None:
        """Its name says it."""

    def delete(self, aws: Aws, found: Found) -> None:
        account, _, name = found.ident.partition("/")
        with unless("NotFoundException"):
            aws.call("budgets", "delete_budget", AccountId=account, BudgetName=name)


def budget_data(name: str, deployment: str, usd_month: float, email: str) -> dict[str, Any]:
    """In the API's words, which are CloudFormation's, too."""
    return {
        "Budget": {
            "BudgetName": name,
            "BudgetType": "COST",
            "TimeUnit": "MONTHLY",
            "BudgetLimit": {"Amount": f"{usd_month:.2f}", "Unit": "USD"},
            # A user's own tag. Source: Cost Management user guide, "Budget filters".
            "CostFilters": {"TagKeyValue": [f"user:{TAG_DEPLOYMENT}${deployment}"]},
        },
        "NotificationsWithSubscribers": [
            {
                "Notification": {
                    "NotificationType": kind,
                    "ComparisonOperator": "GREATER_THAN",
                    "Threshold": percent,
                    "ThresholdType": "PERCENTAGE",
                },
                "Subscribers": [{"SubscriptionType": "EMAIL", "Address": email}],
            }
            for kind, percent in NOTIFIED
        ],
    }
