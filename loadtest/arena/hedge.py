"""Hedging: a request that has had no answer for long is sent to one more target as well.

The first answer counts, the other attempt is given up. Dean and Barroso, "The tail at scale", CACM
2013: after the 95th percentile, so that no more than about 5 % are sent twice. Finagle's backup
requests, gRPC's hedging (proposal A6) and Envoy's hedge policy are this, within a budget. It is for
requests that may be repeated; here all may.

A data-plane process goes by what it has: the latencies of its own answers over the last seconds in
a histogram, whose percentile it reads as often as it looks at the clock, and its retry budget.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Final

from loadtest.arena.events import NEVER_S, Events
from loadtest.arena.fronts import Balancers, View
from loadtest.arena.request import Attempt, Request
from loadtest.arena.scenario import Hedge
from services.balancer.budget import RetryBudget
from services.balancer.config import Retry

LEAST_S: Final = 1e-4  # the first bucket's upper bound
BUCKETS: Final = 160  # up to 100 s
PER_DOUBLING: Final = 8  # buckets: a latency is known to 9 %
TICK_S: Final = 0.1  # a data-plane process looks at the clock ten times a second
ENOUGH: Final = 100  # answers, before a percentile says something

_PER_E: Final = PER_DOUBLING / log(2.0)


class Latencies:
    """Of the answers of the last `window_s` to twice as long: a histogram of this stretch of time
    and one of the stretch before.
    """

    __slots__ = ("_before", "_counts", "_quantile_s", "_read_at", "_share", "_turn_at", "_window_s")

    def __init__(self, share: float, window_s: float) -> None:
        self._share = share
        self._window_s = window_s
        self._counts = [0] * BUCKETS
        self._before = [0] * BUCKETS
        self._turn_at = window_s
        self._read_at = -NEVER_S
        self._quantile_s = NEVER_S

    def add(self, latency_s: float, now: float) -> None:
        """One answer's."""
        if now >= self._turn_at:
            late = now >= self._turn_at + self._window_s
            self._before = [0] * BUCKETS if late else self._counts
            self._counts = [0] * BUCKETS
            self._turn_at = now + self._window_s
        bucket = int(log(latency_s / LEAST_S) * _PER_E) + 1 if latency_s > LEAST_S else 0
        self._counts[min(bucket, BUCKETS - 1)] += 1

    def quantile_s(self, now: float) -> float:
        """`share` of the answers took at most this (to a bucket); infinite while they are few.

        Reckoned once a TICK_S.
        """
        if now >= self._read_at + TICK_S:
            self._read_at = now
            self._quantile_s = self._reckon()
        return self._quantile_s

    def _reckon(self) -> float:
        counts = [a + b for a, b in zip(self._counts, self._before, strict=True)]
        total = sum(counts)
        if total < ENOUGH:
            return NEVER_S
        above = total * (1.0 - self._share)
        for bucket in range(BUCKETS - 1, -1, -1):
            above -= counts[bucket]
            if above < 0.0:
                return float(LEAST_S * 2.0 ** (bucket / PER_DOUBLING))
        return 0.0


class Hedger:
    """One data-plane process: when it sends a request again, and whether it may."""

    __slots__ = ("budget", "latencies", "requests")

    def __init__(self, rules: Hedge) -> None:
        self.latencies = Latencies(rules.after, rules.window_s)
        self.budget = RetryBudget(Retry(budget_percent=100.0 * rules.budget, budget_per_s=0.0))
        self.requests = 0


class Hedging:
    """All processes'. `send` puts an attempt on its way, `drop` gives one up."""

    def __init__(
        self,
        rules: Hedge,
        front: Balancers,
        events: Events,
        *,
        send: Callable[[Attempt, float], None],
        drop: Callable[[Attempt, float], None],
    ) -> None:
        self.hedged = 0  # requests that were sent to a second target
        self._idle = rules.idle
        self._front = front
        self._events = events
        self._send = send
        self._drop = drop
        self._hedgers: dict[View, Hedger] = {view: Hedger(rules) for view in front.views}

    def placed(self, attempt: Attempt, now: float) -> None:
        """A request was sent for the first time, or again after a failure."""
        request = attempt.request
        if request.tries:
            return
        hedger = self._hedgers[attempt.view]
        hedger.requests += 1
        wait_s = hedger.latencies.quantile_s(now)
        if wait_s < NEVER_S:
            self._events.at(now + wait_s, self._overdue, request)

    def _overdue(self, now: float, request: Request) -> None:
        first = request.attempt
        if first is None:
            return  # answered meanwhile
        if not self._front.has_another(first, idle=self._idle):
            return
        hedger = self._hedgers[first.view]
        if not hedger.budget.spend(now, hedger.requests):
            return
        request.second = second = self._front.place_again(first, now)
        if second is not None:
            self.hedged += 1
            self._send(second, now)

    def answered(self, attempt: Attempt, now: float) -> None:
        """The first answer of a request: nobody waits for the other."""
        request = attempt.request
        self._hedgers[attempt.view].latencies.add(now - request.arrived, now)
        if request.second is not None:
            self._drop(self._other(attempt, request.second), now)

    def lives_on(self, attempt: Attempt) -> bool:
        """This attempt was lost: whether the request has another one out, which is its only one
        from now on.
        """
        request = attempt.request
        if request.second is None:
            return False
        request.attempt, request.second = self._other(attempt, request.second), None
        return True

    @staticmethod
    def _other(attempt: Attempt, second: Attempt) -> Attempt:
        first = attempt.request.attempt
        return second if first is attempt or first is None else first


def hedging(
    rules: Hedge | None,
    front: object,
    events: Events,
    *,
    send: Callable[[Attempt, float], None],
    drop: Callable[[Attempt, float], None],
) -> Hedging | None:
    """Of this scenario's balancers; None where there is none. Oracles need no second try."""
    if rules is None or not isinstance(front, Balancers):
        return None
    return Hedging(rules, front, events, send=send, drop=drop)
