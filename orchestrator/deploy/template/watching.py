"""Topic, alarms, dashboard and budget."""

from __future__ import annotations

import json

from orchestrator.deploy.resources.budget import budget_data
from orchestrator.deploy.resources.dashboard import noted
from orchestrator.deploy.template.entry import Entry, Resources, tag_list
from services.contract import PROJECT


def topic(entry: Entry) -> Resources:
    """With its one subscription in it."""
    properties = {
        "TopicName": entry.title,
        "Subscription": [{"Protocol": "email", "Endpoint": entry.spec["email"]}],
        "Tags": tag_list(entry.tags),
    }
    return {entry.logical: {"Type": "AWS::SNS::Topic", "Properties": properties}}


def alarm(entry: Entry) -> Resources:
    """In the words of the API's call."""
    properties = {
        "AlarmName": entry.title,
        **entry.spec["alarm"],
        "AlarmActions": [entry.spec["topic"]],
        "OKActions": [entry.spec["topic"]],
        "Tags": tag_list(entry.tags),
    }
    return {entry.logical: {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}}


def dashboard(entry: Entry) -> Resources:
    """Its body is text."""
    properties = {
        "DashboardName": f"{PROJECT}-{entry.scope.deployment}-{entry.region}",
        "DashboardBody": json.dumps(noted(entry.spec["body"], entry.tags)),
    }
    return {entry.logical: {"Type": "AWS::CloudWatch::Dashboard", "Properties": properties}}


def budget(entry: Entry) -> Resources:
    """In the words of the API's call, the amount as a number."""
    spec = entry.spec
    name = f"{PROJECT}-{spec['deployment']}-{entry.region}-{entry.digest}"
    data = budget_data(name, spec["deployment"], spec["usd_month"], spec["email"])
    data["Budget"]["BudgetLimit"]["Amount"] = spec["usd_month"]
    return {entry.logical: {"Type": "AWS::Budgets::Budget", "Properties": data}}
