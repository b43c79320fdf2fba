"""CPU and steal of this machine to CloudWatch, once a minute: the mean of that minute.

Never in the way of a request: each call has a thread of its own, and one call is out at a time.
What could not be sent waits, with the minute that it belongs to, and goes with the next one that
can; the oldest minute is given up when too many wait. Without credentials nothing is sent: that is
said once, and looked at again after REST_S, because a role may be given to a running machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from random import Random
from threading import Thread
from typing import Any, Final

from services.contract import (
    CLOUDWATCH_CPU,
    CLOUDWATCH_NAMESPACE,
    CLOUDWATCH_STEAL,
    DIMENSION_CLUSTER,
    DIMENSION_DEPLOYMENT,
    DIMENSION_INSTANCE,
)
from services.worker.cpu import MIN_WINDOW_S, CpuGauge
from services.worker.log import LineLog

MOST_MINUTES: Final = 60  # that wait: 120 data, of 1000 that one call takes
REST_S: Final = 600.0  # without credentials, and the longest pause between calls that fail
FLUSH_S: Final = 1.0  # for the last call, at the end
CONNECT_S: Final = 2.0
READ_S: Final = 5.0
ATTEMPTS: Final = 2  # of one call; the next minute comes anyway

Datum = dict[str, Any]
Put = Callable[[list[Datum]], None]

# Sent as it is, it will be refused again. Source: CloudWatch API, PutMetricData, "Errors"
_NEVER: Final = frozenset(
    {
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "MissingParameter",
        "MissingRequiredParameterException",
        "ValidationError",
    }
)


class CloudWatchError(Exception):
    """One line. `again`: the same data may be taken another time."""

    def __init__(self, message: str, *, again: bool = True) -> None:
        super().__init__(message)
        self.again = again


class NoCredentials(CloudWatchError):
    """Nobody has said who we are, or there is no boto3 to say it with."""


def dimensions(deployment: str, cluster: str, instance: str) -> list[dict[str, str]]:
    """Whose metrics these are, as PutMetricData takes it."""
    return [
        {"Name": DIMENSION_DEPLOYMENT, "Value": deployment},
        {"Name": DIMENSION_CLUSTER, "Value": cluster},
        {"Name": DIMENSION_INSTANCE, "Value": instance},
    ]


class CpuPublisher:
    """Samples `gauge`, which nobody else may sample: its window is the time between two rounds.

    Resource handling: none of its own but the thread of a call that hangs, which nobody waits for.
    Errors: none are raised but those of the CPU's source (OSError, ValueError) by `sample`.
    """

    def __init__(
        self,
        gauge: CpuGauge,
        put: Put,
        *,
        whose: Sequence[dict[str, str]],
        interval_s: float,
        log: LineLog,
        rng: Random,
    ) -> None:
        self._gauge = gauge
        self._put = put
        self._whose = list(whose)
        self._interval_s = interval_s
        self._log = log
        self._rng = rng
        self._waiting: deque[list[Datum]] = deque(maxlen=MOST_MINUTES)
        self._not_before = 0.0  # monotonic seconds
        self._failures = 0
        self._off = False  # without credentials
        self._said = ""
        self._sampled_at: float | None = None

    @property
    def waiting(self) -> int:
        """Minutes that are not published."""
        return len(self._waiting)

    def sample(self, now: float, wall: float) -> None:
        """The time since the last sample, as one minute more that waits. The first one begins."""
        if self._sampled_at is not None and now - self._sampled_at < MIN_WINDOW_S:
            return  # the gauge would repeat itself
        self._sampled_at = now
        self._gauge.sample(now)
        cpu, steal = self._gauge.utilization, self._gauge.steal
        if cpu is None or steal is None or self._off:
            return
        at = datetime.fromtimestamp(wall, UTC)
        self._waiting.append(
            [
                {
                    "MetricName": name,
                    "Dimensions": self._whose,
                    "Timestamp": at,
                    "Value": fraction * 100,
                    "Unit": "Percent",
                }
                for name, fraction in ((CLOUDWATCH_CPU, cpu), (CLOUDWATCH_STEAL, steal))
            ]
        )

    async def send(self, now: float) -> None:
        """Publish what waits, unless a pause is on."""
        if now < self._not_before:
            return
        minutes = list(self._waiting)
        if not minutes and not self._off:
            return
        # Off, this asks for nothing but whether there are credentials by now.
        data = [datum for minute in minutes for datum in minute]
        try:
            await in_thread(partial(self._put, data))
        except NoCredentials as error:
            if not self._off:
                self._log.event("cloudwatch off", reason=str(error))
            self._off = True
            self._waiting.clear()
            self._not_before = now + REST_S
        except CloudWatchError as error:
            if error.again:
                self._pause(now, str(error))
            else:
                self._drop(minutes)
                self._log.event("cloudwatch refused", level="error", error=str(error))
        else:
            self._drop(minutes)
            self._off = False
            if self._failures:
                self._log.event("cloudwatch takes data again")
            self._failures, self._said = 0, ""

    async def run(self) -> None:
        """Every interval, until cancelled or the CPU's source is gone."""
        # Not all machines of a group in the same second.
        sample_at = time.monotonic() + self._interval_s * self._rng.random()
        async with asyncio.TaskGroup() as group:
            sending: asyncio.Task[None] | None = None
            while True:
                try:
                    self.sample(time.monotonic(), time.time())
                except (OSError, ValueError):
                    return  # whoever keeps the load report's gauge says so
                if sending is None or sending.done():
                    sending = group.create_task(self.send(time.monotonic()))
                await asyncio.sleep(max(0.0, sample_at - time.monotonic()))
                sample_at += self._interval_s

    async def close(self, deadline_s: float = FLUSH_S) -> None:
        """The last, unfinished minute and what waits: sent within the time given, or lost."""
        if self._off:
            return
        with contextlib.suppress(OSError, ValueError):  # said by the load report's gauge
            self.sample(time.monotonic(), time.time())
        self._not_before = 0.0
        with contextlib.suppress(TimeoutError):  # said below
            async with asyncio.timeout(deadline_s):
                await self.send(time.monotonic())
        if self._waiting:
            self._log.event("cloudwatch not told", level="warning", minutes=len(self._waiting))

    def _drop(self, minutes: list[list[Datum]]) -> None:
        """They are done with; some may have been pushed out meanwhile."""
        while self._waiting and any(self._waiting[0] is minute for minute in minutes):
            self._waiting.popleft()

    def _pause(self, now: float, reason: str) -> None:
        longest_s = min(self._interval_s * 2**self._failures, REST_S)
        self._failures = min(self._failures + 1, 30)  # 2**30 is beyond any pause
        self._not_before = now + longest_s * self._rng.uniform(0.5, 1.0)
        if reason != self._said:  # once for each reason in a row of failures
            self._said = reason
            self._log.event("cloudwatch does not answer", level="warning", error=reason)


class Api:
    """PutMetricData in one region, with the credentials that boto3 finds; blocking.

    Errors:
        CloudWatchError: every call's.
    """

    def __init__(self, region: str) -> None:
        self._region = region
        self._client: Any = None

    def __call__(self, data: list[Datum]) -> None:
        """Publish; with no data, only see whether there are credentials."""
        try:
            import boto3  # noqa: PLC0415 - an optional extra, paid for only by who uses it
            from botocore import exceptions  # noqa: PLC0415 - the same
            from botocore.config import Config  # noqa: PLC0415 - the same
        except ImportError as error:
            raise NoCredentials("boto3 is missing: install steelyard[worker-aws]") from error
        try:
            if self._client is None:
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
            if data:
                self._client.put_metric_data(Namespace=CLOUDWATCH_NAMESPACE, MetricData=data)
        except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
            self._client = None
            raise NoCredentials("no AWS credentials") from error
        except exceptions.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "error"))
            raise CloudWatchError(
                f"{error.operation_name}: {code}", again=code not in _NEVER
            ) from error
        except exceptions.ParamValidationError as error:
            raise CloudWatchError(" ".join(str(error).split()), again=False) from error
        except (exceptions.BotoCoreError, OSError) as error:
            raise CloudWatchError(f"{self._region}: {' '.join(str(error).split())}") from error


async def in_thread(work: Callable[[], None]) -> None:
    """Run in a thread that nobody has to wait for; cancelling stops the wait alone.

    asyncio's own threads are joined at the end, so one that hangs would hold up a drain.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)

    def run() -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed on whole to the one who waits
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits any more
            loop.call_soon_threadsafe(settle, failure)

    Thread(target=run, name="cloudwatch", daemon=True).start()
    await future
