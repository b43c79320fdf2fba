"""Calls to AWS: one method, one place where they can be watched, interrupted and recorded."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import boto3
from botocore.config import Config

from orchestrator.aws.errors import translated

Answer = dict[str, Any]
Phase = Literal["before", "after"]

# Adaptive mode slows the client down to what the account is allowed, besides repeating.
# Source: boto3 guide, "Retries".
_CONFIG: Final = Config(
    retries={"mode": "adaptive", "total_max_attempts": 8},
    connect_timeout=5,
    read_timeout=60,
    user_agent_extra="steelyard",
)
_NO_KEYS: Final = {"aws_access_key_id": "local", "aws_secret_access_key": "local"}
# For a question that the command can go on without: one try, and a short one.
_ONCE: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 1},
    connect_timeout=5,
    read_timeout=10,
    user_agent_extra="steelyard",
)
_READS: Final = ("describe_", "get_", "list_", "batch_get_", "simulate_")


@dataclass(frozen=True, slots=True)
class Call:
    """One API call: boto3's names of service and operation, and its parameters."""

    region: str
    service: str
    operation: str
    params: Answer

    @property
    def reads(self) -> bool:
        """It changes nothing."""
        return self.operation.startswith(_READS)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation} in {self.region}"


Watch = Callable[[Call, Phase], None]


def unwatched(_call: Call, _phase: Phase) -> None:
    """Watch nothing."""


class Aws:
    """AWS in one region, for any number of threads.

    `watch` sees every call before it goes out and after it was answered.

    What `watch` raises leaves `call` as it is: raised "after", the call has taken effect and its
    answer is lost, as in a crash.
    """

    def __init__(
        self,
        region: str,
        *,
        watch: Watch = unwatched,
        session: boto3.Session | None = None,
        endpoint: str | None = None,
    ) -> None:
        """`endpoint` is the URL of another cloud; the account's own keys never go there."""
        self.region = region
        self._watch = watch
        self._endpoint = endpoint
        with translated(f"opening a session in {region}"):
            self._session = session or boto3.Session(
                region_name=region, **({} if endpoint is None else _NO_KEYS)
            )
        # Threads may share clients, not make them. Source: boto3 guide, "Multithreading".
        self._making = threading.Lock()
        self._clients: dict[tuple[str, Config], Any] = {}

    def elsewhere(self, region: str) -> Aws:
        """The same door in another region."""
        return Aws(region, watch=self._watch, endpoint=self._endpoint)

    def watched(self, also: Watch) -> Aws:
        """The same door, its clients shared, with another watch after its own."""
        first = self._watch

        def both(call: Call, phase: Phase) -> None:
            first(call, phase)
            also(call, phase)

        door = copy.copy(self)
        door._watch = both
        return door

    def call(self, service: str, operation: str, **params: Any) -> Answer:
        """The answer of one call.

        Errors:
            CloudError: AWS refused it, or could not be reached, after the retries.
        """
        return self._answer(_CONFIG, Call(self.region, service, operation, params))

    def once(self, service: str, operation: str, **params: Any) -> Answer:
        """The same without a retry: for what the command can do without. Errors as `call`."""
        return self._answer(_ONCE, Call(self.region, service, operation, params))

    def _answer(self, config: Config, call: Call) -> Answer:
        with translated(str(call)):
            client = self._client(call.service, config)
            self._watch(call, "before")
            answer: Answer = getattr(client, call.operation)(**call.params)
            self._watch(call, "after")
        return answer

    def pages(self, service: str, operation: str, key: str, **params: Any) -> Iterator[Any]:
        """Every entry under `key`, over all pages. Errors as `call`."""
        call = Call(self.region, service, operation, params)
        with translated(str(call)):
            self._watch(call, "before")
            pages = self._client(service).get_paginator(operation).paginate(**params)
            found = [entry for page in pages for entry in page.get(key, ())]
            self._watch(call, "after")
        yield from found

    def _client(self, service: str, config: Config = _CONFIG) -> Any:
        key = (service, config)
        with self._making:
            if key not in self._clients:
                self._clients[key] = self._session.client(
                    service, region_name=self.region, config=config, endpoint_url=self._endpoint
                )
            return self._clients[key]
