"""What boto3 does for us: put metric data, get machines' CPU. Blocking; errors in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

CONNECT_S: Final = 2.0
READ_S: Final = 5.0
ATTEMPTS: Final = 2  # of one call; whoever calls comes back by himself
QUERIES: Final = 500  # of one call. Source: CloudWatch API, GetMetricData
# A machine's newest value: once a minute with detailed monitoring, else once in five, and late.
WINDOW: Final = timedelta(minutes=10)
PERIOD_S: Final = 60

Put = Callable[[str, list[dict[str, Any]]], None]
Cpu = Callable[[Sequence[str], datetime], Mapping[str, float]]

# Sent as it is, it will be refused again. Source: CloudWatch API, PutMetricData and GetMetricData
_NEVER: Final = frozenset(
    {
        "InvalidParameterCombination",
        "InvalidParameterCombinationException",
        "InvalidParameterValue",
        "InvalidParameterValueException",
        "MissingParameter",
        "MissingRequiredParameterException",
        "ValidationError",
    }
)
_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class CloudWatchError(Exception):
    """One line. `again`: it may go better another time with the same data."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class NoCredentials(CloudWatchError):
    """Nobody has said who we are: not even worth asking."""


class Api:
    """One region, with the credentials that boto3 finds: on EC2, the role's.

    Errors:
        CloudWatchError: of every method.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._client: Any = None

    def put(self, namespace: str, data: list[dict[str, Any]]) -> None:
        """PutMetricData, one call."""
        with self._errors():
            self._ask().put_metric_data(Namespace=namespace, MetricData=data)

    def cpu(self, instances: Sequence[str], now: datetime) -> Mapping[str, float]:
        """The newest CPUUtilization of each machine as 0 to 1; nothing of those without."""
        found: dict[str, float] = {}
        with self._errors():
            pages = self._ask().get_paginator("get_metric_data")
            for start in range(0, len(instances), QUERIES):
                asked = instances[start : start + QUERIES]
                for page in pages.paginate(
                    MetricDataQueries=list(_queries(asked)),
                    StartTime=now - WINDOW,
                    EndTime=now,
                    ScanBy="TimestampDescending",
                ):
                    for result in page["MetricDataResults"]:
                        instance = asked[int(result["Id"][1:])]
                        if result["Values"]:  # a later page has older ones
                            newest = min(max(result["Values"][0] / 100, 0.0), 1.0)
                            found.setdefault(instance, newest)
        return found

    def _ask(self) -> Any:
        if self._client is None:
            import boto3  # noqa: PLC0415 - an optional extra, paid for only by who uses it
            from botocore.config import Config  # noqa: PLC0415 - the same

            session = boto3.session.Session(region_name=self._region)
            if session.get_credentials() is None:
                raise NoCredentials("no AWS credentials")
            self._client = session.client(
                "cloudwatch",
                config=Config(
                    connect_timeout=CONNECT_S,
                    read_timeout=READ_S,
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    max_pool_connections=1,
                ),
            )
        return self._client

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            from botocore import exceptions  # noqa: PLC0415 - as boto3
        except ImportError as error:
            message = "boto3 is missing: install steelyard[balancer-aws]"
            raise NoCredentials(message) from error
        try:
            yield
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            self._client = None
            raise NoCredentials("no AWS credentials") from error
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "error"))
            hint = ": the credentials do not allow it" if code in _DENIED else ""
            raise CloudWatchError(
                f"{error.operation_name}: {code}{hint}", again=code not in _NEVER
            ) from error
        except exceptions.ParamValidationError as error:
            raise CloudWatchError(_line(error), again=False) from error
        except (exceptions.BotoCoreError, OSError) as error:
            raise CloudWatchError(f"{self._region}: {_line(error)}") from error


def _queries(instances: Iterable[str]) -> Iterator[dict[str, Any]]:
    for number, instance in enumerate(instances):
        yield {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/EC2",
                    "MetricName": "CPUUtilization",
                    "Dimensions": [{"Name": "InstanceId", "Value": instance}],
                },
                "Period": PERIOD_S,
                "Stat": "Average",
            },
        }


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
