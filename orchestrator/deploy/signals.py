"""Who is told, of what, and where one looks: topic, alarms, dashboard and budget as wanted. Pure.

Every name of a metric is one of `services.contract`, besides the group's own desired size.
"""

from __future__ import annotations

from typing import Any, Final

from orchestrator.deploy.machines import (
    ALARM_METRIC_USD_MONTH,
    DASHBOARD_USD_MONTH,
    HOURS_A_MONTH,
)
from orchestrator.deploy.resource import Key, Ref, Scope, Wanted, title
from orchestrator.deploy.settings import Alarms, Cluster, Deployment
from services import contract

TOPIC: Final = Key("topic", "alarms")
DASHBOARD: Final = Key("dashboard", "overview")
BUDGET: Final = Key("budget", "month")
_WIDTH: Final = 24  # columns of a dashboard. Source: CloudWatch API, "Dashboard body structure"
_HEIGHT: Final = 6
_DIMENSIONS: Final = ("DIMENSION_DEPLOYMENT", "DIMENSION_CLUSTER", "DIMENSION_INSTANCE")


def signals(deployment: Deployment, account: str) -> list[Wanted]:
    """What of it the file asks for."""
    wanted: list[Wanted] = []
    if deployment.alarms is not None:
        wanted.append(
            Wanted(
                key=TOPIC,
                spec={"email": deployment.alarms.email},
                details=f"to {deployment.alarms.email}, who must confirm it once",
            )
        )
        for cluster in deployment.clusters:
            wanted += _alarms(deployment, deployment.alarms, cluster)
    if deployment.dashboard:
        wanted.append(
            Wanted(
                key=DASHBOARD,
                spec={"body": dashboard(deployment)},
                usd_hour=DASHBOARD_USD_MONTH / HOURS_A_MONTH,
                details="the account's first three cost nothing",
            )
        )
    if deployment.budget is not None:
        budget = deployment.budget
        wanted.append(
            Wanted(
                key=BUDGET,
                spec={
                    "account": account,
                    "deployment": deployment.name,
                    "usd_month": budget.usd_month,
                    "email": budget.email,
                },
                details=f"${budget.usd_month:g} a month, to {budget.email}; sees costs once the tag"
                f" {contract.TAG_DEPLOYMENT} is activated in Billing",
            )
        )
    return wanted


def _alarms(deployment: Deployment, alarms: Alarms, cluster: Cluster) -> list[Wanted]:
    def stat(ident: str, metric: str, statistic: str, shown: bool = False) -> dict[str, Any]:
        where = _dimensions(deployment, cluster)
        return _stat(
            ident, contract.CLOUDWATCH_NAMESPACE, metric, where, statistic=statistic, shown=shown
        )

    errors = [
        stat("requests", contract.CLOUDWATCH_REQUESTS, "Sum"),
        stat("errors", contract.CLOUDWATCH_ERRORS_5XX, "Sum"),
        _formula("percent", "IF(requests > 0, 100 * errors / requests, 0)"),
    ]
    latency = [stat("latency", contract.CLOUDWATCH_LATENCY, "p99", shown=True)]
    # The group's own word on how many it wants.
    # Source: Auto Scaling user guide, "Available metrics and dimensions".
    group = {"AutoScalingGroupName": title(Scope(deployment.name), cluster.name)}
    healthy = [
        stat("healthy", contract.CLOUDWATCH_HEALTHY, "Minimum"),
        _stat(
            "desired",
            "AWS/AutoScaling",
            "GroupDesiredCapacity",
            group,
            statistic="Maximum",
            shown=False,
        ),
        _formula("missing", "desired - FILL(healthy, 0)"),
    ]
    hottest = _query(deployment, cluster)
    cpu = [{**_formula("cpu", hottest), "Period": contract.CLOUDWATCH_PERIOD_S}]
    busy = _alarm(
        cluster,
        "cpu",
        cpu,
        above=alarms.cpu_percent,
        unit="% CPU of its busiest machine",
        minutes=(10, 10),
    )
    if not deployment.has_balancer:
        return [busy]  # nobody tells the others: the healthy hosts would be missing for ever
    return [
        _alarm(
            cluster,
            "errors",
            errors,
            above=alarms.errors_percent,
            unit="% answers are 5xx",
            minutes=(3, 5),
        ),
        _alarm(
            cluster,
            "latency",
            latency,
            above=alarms.latency_ms,
            unit=" ms latency, p99",
            minutes=(3, 5),
        ),
        # Longer than a machine's boot, or each scale-out would tell.
        _alarm(
            cluster, "healthy", healthy, above=0, unit=" hosts fewer than desired", minutes=(10, 10)
        ),
        busy,
    ]


def _query(deployment: Deployment, cluster: Cluster) -> str:
    """CloudWatch's own language; names are letters, digits and hyphens by their pattern."""
    names = ", ".join(getattr(contract, name) for name in _DIMENSIONS)
    return " ".join(
        (
            f"SELECT MAX({contract.CLOUDWATCH_CPU})",
            f'FROM SCHEMA("{contract.CLOUDWATCH_NAMESPACE}", {names})',
            f"WHERE {contract.DIMENSION_DEPLOYMENT} = '{deployment.name}'",
            f"AND {contract.DIMENSION_CLUSTER} = '{cluster.name}'",
        )
    )


def _alarm(
    cluster: Cluster,
    what: str,
    metrics: list[dict[str, Any]],
    *,
    above: float,
    unit: str,
    minutes: tuple[int, int],
) -> Wanted:
    """An alarm on what is above a bound in so many of so many minutes."""
    told = f"more than {above:g}{unit} in {minutes[0]} of {minutes[1]} minutes"
    alarm = {
        "AlarmDescription": f"{cluster.name}: {told}",
        "Metrics": metrics,
        "Threshold": float(above),
        "ComparisonOperator": "GreaterThanThreshold",
        "DatapointsToAlarm": minutes[0],
        "EvaluationPeriods": minutes[1],
        "TreatMissingData": "notBreaching",
    }
    paid = max(1, sum("MetricStat" in one for one in metrics))
    return Wanted(
        key=Key("alarm", f"{cluster.name}-{what}"),
        spec={"alarm": alarm, "topic": Ref(TOPIC)},
        needs=(TOPIC,),
        usd_hour=paid * ALARM_METRIC_USD_MONTH / HOURS_A_MONTH,
        details=told,
    )


def _dimensions(deployment: Deployment, cluster: Cluster) -> dict[str, str]:
    return {
        contract.DIMENSION_DEPLOYMENT: deployment.name,
        contract.DIMENSION_CLUSTER: cluster.name,
    }


def _stat(
    ident: str, space: str, metric: str, where: dict[str, str], *, statistic: str, shown: bool
) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in where.items()]
    return {
        "Id": ident,
        "MetricStat": {
            "Metric": {"Namespace": space, "MetricName": metric, "Dimensions": dimensions},
            "Period": contract.CLOUDWATCH_PERIOD_S,
            "Stat": statistic,
        },
        "ReturnData": shown,
    }


def _formula(ident: str, expression: str) -> dict[str, Any]:
    return {"Id": ident, "Expression": expression, "ReturnData": True}


def dashboard(deployment: Deployment) -> dict[str, Any]:
    """The body: a row of four charts for each cluster."""
    widgets: list[dict[str, Any]] = []
    for row, cluster in enumerate(deployment.clusters):
        charts = _charts(deployment, cluster)
        width = _WIDTH // len(charts)
        for column, (name, metrics, unit) in enumerate(charts):
            widgets.append(
                {
                    "type": "metric",
                    "x": column * width,
                    "y": row * _HEIGHT,
                    "width": width,
                    "height": _HEIGHT,
                    "properties": {
                        "title": f"{cluster.name}: {name}",
                        "region": deployment.region,
                        "view": "timeSeries",
                        "period": contract.CLOUDWATCH_PERIOD_S,
                        "metrics": metrics,
                        "yAxis": {"left": {"min": 0, "label": unit, "showUnits": False}},
                    },
                }
            )
    return {"widgets": widgets}


def _charts(deployment: Deployment, cluster: Cluster) -> list[tuple[str, list[Any], str]]:
    where = [part for pair in _dimensions(deployment, cluster).items() for part in pair]

    def line(metric: str, statistic: str) -> list[Any]:
        label = f"{metric} {statistic}"
        return [
            contract.CLOUDWATCH_NAMESPACE,
            metric,
            *where,
            {"stat": statistic, "label": label},
        ]

    def each(metric: str) -> list[Any]:
        dimensions = ",".join(getattr(contract, name) for name in _DIMENSIONS)
        search = (
            f'SEARCH(\'{{{contract.CLOUDWATCH_NAMESPACE},{dimensions}}} MetricName="{metric}"'
            f' {contract.DIMENSION_DEPLOYMENT}="{deployment.name}"'
            f" {contract.DIMENSION_CLUSTER}=\"{cluster.name}\"', 'Average',"
            f" {contract.CLOUDWATCH_PERIOD_S})"
        )
        return [{"expression": search, "label": metric}]

    counts = (
        contract.CLOUDWATCH_REQUESTS,
        contract.CLOUDWATCH_ERRORS_4XX,
        contract.CLOUDWATCH_ERRORS_5XX,
        contract.CLOUDWATCH_RETRIES,
    )
    latency = [line(contract.CLOUDWATCH_LATENCY, statistic) for statistic in ("p50", "p99")]
    hosts = [
        line(contract.CLOUDWATCH_HEALTHY, "Minimum"),
        line(contract.CLOUDWATCH_PENDING, "Average"),
    ]
    cpu = [each(contract.CLOUDWATCH_CPU), each(contract.CLOUDWATCH_STEAL)]
    if not deployment.has_balancer:
        return [("CPU", cpu, "percent")]
    return [
        ("requests", [line(metric, "Sum") for metric in counts], "a minute"),
        ("latency", latency, "ms"),
        ("hosts", hosts, "count"),
        ("CPU", cpu, "percent"),
    ]
