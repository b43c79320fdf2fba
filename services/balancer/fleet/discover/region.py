"""The instances of one AWS region, asked for all sources together. Knows nothing of boto3.

One call serves every cluster that asks the same region, at most once an interval: twenty clusters
on twenty balancers would use up what an account may ask. An error is answered to all until it is
time to ask again: twice as long after each error in a row, by chance a little less, so that
balancers that were throttled together do not come back together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Final, NamedTuple

from services.balancer.fleet.discover.source import DiscoveryError

TIMEOUT_S: Final = 15.0  # for one answer; its retries included
MAX_PAUSE_S: Final = 120.0  # between two calls while they fail
_FRESH: Final = 0.9  # of an interval: timers of the same interval end a little apart

Tags = Mapping[str, str]


class Instance(NamedTuple):
    """One running instance. `lifecycle` is its state in its group; None: it is in none."""

    ident: str
    private: str | None
    public: str | None
    tags: Tags
    lifecycle: str | None


# Blocking: the running instances that have all tags of at least one want. Raises DiscoveryError.
Ask = Callable[[tuple[Tags, ...]], Iterable[Instance]]


class Region:
    """One call at a time: a hanging one holds one thread, not one more each round."""

    def __init__(
        self,
        ask: Ask,
        *,
        rng: Random,
        clock: Callable[[], float] = time.monotonic,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._ask = ask
        self._rng = rng
        self._clock = clock
        self._timeout_s = timeout_s
        self._wants: tuple[Tags, ...] = ()
        self._call: asyncio.Task[None] | None = None
        self._asked_for: tuple[Tags, ...] | None = None
        self._instances: tuple[Instance, ...] = ()
        self._error: str | None = None
        self._failures = 0
        self._rest_until = 0.0

    def want(self, wants: Iterable[Tags]) -> None:
        """The tags of every source of this region; an answer to others is not reused."""
        self._wants = tuple(wants)

    async def instances(self, interval_s: float) -> tuple[Instance, ...]:
        """What runs now, at most `interval_s` old.

        Errors:
            DiscoveryError: the last call failed, or has not ended in time.
        """
        while True:
            if self._call is None:
                new = self._asked_for != self._wants and self._error is None
                if not new and self._clock() < self._rest_until:
                    return self._answer()
                self._call = asyncio.create_task(self._ask_once(self._wants, interval_s))
            call = self._call
            done, _ = await asyncio.wait({call}, timeout=self._timeout_s)
            if not done:
                raise DiscoveryError(f"no answer within {self._timeout_s:g} s")
            call.result()  # nothing, or a bug
            if self._asked_for == self._wants:
                return self._answer()

    def _answer(self) -> tuple[Instance, ...]:
        if self._error is not None:
            raise DiscoveryError(self._error)
        return self._instances

    async def _ask_once(self, wants: tuple[Tags, ...], interval_s: float) -> None:
        try:
            self._instances = tuple(await asyncio.to_thread(self._ask, wants))
        except DiscoveryError as error:
            self._error = str(error)
            longest_s = min(interval_s * 2**self._failures, MAX_PAUSE_S)
            self._failures = min(self._failures + 1, 30)  # 2**30 is beyond any pause
            pause_s = longest_s * self._rng.uniform(0.5, 1.0)
        else:
            self._error = None
            self._failures = 0
            pause_s = interval_s * _FRESH
        finally:
            self._call = None
        self._asked_for = wants
        self._rest_until = self._clock() + pause_s
