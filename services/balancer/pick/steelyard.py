"""Shortest expected delay from what the targets' own answers tell of their speed: the house rule.

*Pace* is how long a request would take at a target alone. Under processor sharing a target that has
`n` requests gives each an n-th of its speed, so the next one will take about pace x (n + 1): the
pick is the lowest of that. Pending counts are known, so the pace is all there is to estimate:

    pace = time that our requests have spent at the target
           / sum, over those that ended, of the requests pending there at that moment

Both sums decay with each answer. The requests' sizes, how many there were at a time and whose they
were cancel out: over a stretch with `n` pending, of which `m` ours, our time grows by m a second
and the divisor by n x (m / n) / pace. A request that takes long counts while it lasts, not when it
ends: a target that slows down is dearer before it has answered. When the target reports its pending
requests with its answers, other balancers' are known too; without reports, they are felt as a
higher pace.

Shortest expected delay with known speeds: Winston 1977 and Whitt, "Deciding which queue to join",
1986. What is ours is the estimate, and what follows from it; docs/policies.md has the experiments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Final

from services.balancer.load import NEVER_S, Load
from services.balancer.pick.index import Index
from services.balancer.pick.parameters import Parameter, number, whole
from services.balancer.pick.policy import T
from services.balancer.target import Target

WINDOW: Final = 25  # answers: older ones count less than 1/e
LOOK_AT_ALL: Final = 20  # candidates; more stand in an index
DRAWS: Final = 12  # of some of many, which the index does not know
EXPLORE: Final = 0.02  # of all requests at most, to learn of targets that get none
REST_S: Final = 1.0  # without an answer, before a target is explored; doubles while it fails
LONGEST_REST_S: Final = 30.0
FAILURE_COST_S: Final = 1.0  # a failure counts as this slow
FAILURES_WINDOW: Final = 10  # attempts
FAILURES_BORNE: Final = 0.15  # of the attempts: one in ten now and then is no trend
_PRIOR: Final = 4.0  # answers that what is known of the others is worth for a newcomer
_OLD: Final = 3.0  # answers that all before a rest is worth
_OVERDUE: Final = 2.0  # times the expected wait for the next answer
_OTHERS_GAIN: Final = 0.1  # of a new report of others' pending requests, in their mean
_HEDGE: Final = 2.0  # requests; see `Pace`
_LEAST_S: Final = 1e-3  # that others' requests last
_UNKNOWN_S: Final = 1e-3  # the pace of everyone before the first answer of anyone


class Pace(Load):
    """How fast a target is, whose pending requests are `others`' and how often it fails.

    `pace_s` is 0 while nothing is known. Reckoned at the begin and the end of each request; `_area`
    is request-seconds since the last answer.

    The divisor counts _HEDGE more requests with each answer than are pending. Without them, targets
    that answer alike whatever is pending (they wait for a database) would look the faster the more
    they have, and the fullest would get all: latency / n x (n + 1) falls with n. With more than
    one, it rises. Targets that do share their speed are judged a little too alike, which hedges
    against an estimate that is off.
    """

    __slots__ = (
        "_area",
        "_divisor",
        "_failures",
        "_policy",
        "_reported",
        "_spent",
        "_stamp",
        "_target",
        "at",
        "cost_s",
        "explored_at",
        "lean",
        "lean_from",
        "others",
        "pace_s",
        "penalty_s",
        "rest_s",
    )

    wants_reports: ClassVar[bool] = True
    wants_latency: ClassVar[bool] = False

    def __init__(self, policy: Steelyard, target: Target) -> None:
        super().__init__()
        self._policy = policy
        self._target = target
        self._spent = 0.0  # decayed, request-seconds
        self._divisor = 0.0  # decayed, requests
        self._area = 0.0
        self._stamp = -1.0  # of the last begin or end; -1: none yet
        self._reported = -1.0
        self._failures = 0.0  # decayed share of the attempts
        self.pace_s = 0.0
        self.penalty_s = 0.0
        self.others = 0.0  # pending here, of other balancers, on average
        self.lean = 0.0
        self.lean_from = -NEVER_S
        self.cost_s = 0.0
        self.at = -LONGEST_REST_S  # of the last end
        self.explored_at = -LONGEST_REST_S
        self.rest_s = REST_S
        self.weigh()

    def fresh(self) -> Pace:
        """Nothing is known."""
        return Pace(self._policy, self._target)

    def estimate_s(self) -> float:
        """What the next request here is expected to take, on average over others' requests."""
        target = self._target
        return self.cost_s + (self.pace_s or self._policy.mean_s) * (target.pending - target.own)

    def weigh(self) -> None:
        """Reckon `cost_s` anew: something that it is made of has changed."""
        requests = self._target.own + 1.0 + self.others
        self.cost_s = (self.pace_s or self._policy.mean_s) * requests + self.penalty_s

    def begin(self, now: float) -> None:
        """One more is pending; when the answer before it is overdue, the pace is higher."""
        before = self._target.own - 1
        if before > 0:
            if self._stamp >= 0.0:
                self._area += before * (now - self._stamp)
            here = before + self.others
            if self._area > _OVERDUE * self.pace_s * here and self._divisor:
                pace_s = (self._spent + self._area) / (self._divisor + here + _HEDGE)
                self.pace_s = max(pace_s, self.pace_s)
        self._stamp = now
        self.cost_s = (self.pace_s or self._policy.mean_s) * (
            before + 2.0 + self.others
        ) + self.penalty_s

    def reported(
        self, pending: float | None, latency_s: float | None, cpu: float | None, now: float
    ) -> None:
        """With an answer, whose request the target still counts as pending."""
        super().reported(pending, latency_s, cpu, now)
        if pending is not None:
            self._reported = pending

    def succeed(self, latency_s: float, now: float) -> None:
        """An answer: reckon the pace anew."""
        self.finished += 1
        target = self._target
        own = target.own + 1
        spent_s = self._area
        spent_s += own * (now - self._stamp) if self._stamp >= 0.0 else latency_s
        self._area = 0.0
        self._stamp = now
        known = float(own if not target.other_rows else target.pending + 1)
        if self._reported >= 0.0:
            others = max(self._reported - known, 0.0)
            self._reported = -1.0
            if others or self.others:
                self._heard(others, now)
            known += others
        known += _HEDGE
        policy = self._policy
        divisor = self._divisor
        if divisor == 0.0:
            self._divisor = divisor = _PRIOR * known if policy.answers else 0.0
            self._spent = policy.mean_s * divisor
        elif now - self.at > REST_S and divisor > _OLD * known:
            self._spent *= _OLD * known / divisor
            divisor = _OLD * known
        keep = policy.keep
        self._spent = spent = self._spent * keep + spent_s
        self._divisor = divisor = divisor * keep + known
        self.pace_s = pace_s = spent / divisor
        self.at = now
        policy.learn(pace_s)
        if self._failures:
            self._forgive()
        self.cost_s = pace_s * (own + self.others) + self.penalty_s
        if policy.indexed:
            policy.index.cheaper(target, policy.cost(target, now))

    def _heard(self, others: float, now: float) -> None:
        """So many of other balancers' are pending: true now, less and less so as time goes by.

        After as long as they take, half of what they differ by from their mean is taken for gone.
        """
        if self.lean_from < 0.0:
            self.others = others
        self.others += _OTHERS_GAIN * (others - self.others)
        lasts_s = max((self.pace_s or self._policy.mean_s) * (1.0 + others), _LEAST_S)
        self.lean = (others - self.others) * lasts_s
        self.lean_from = now - lasts_s

    def fail(self, latency_s: float, now: float) -> None:
        """A failure says nothing of the pace."""
        self.finished += 1
        self._failures += (1.0 - self._failures) / FAILURES_WINDOW
        self.penalty_s = FAILURE_COST_S * max(self._failures - FAILURES_BORNE, 0.0)
        if self.penalty_s:
            self.rest_s = min(2.0 * self.rest_s, LONGEST_REST_S)
        self._end(now)
        self.at = now

    def abandon(self, latency_s: float, now: float) -> None:
        """The client left: the time it has spent counts, the answer does not."""
        self._end(now)

    def void(self, latency_s: float, now: float) -> None:
        """The target may never have seen it."""
        self._end(now)

    def _end(self, now: float) -> None:
        if self._stamp >= 0.0:
            self._area += (self._target.own + 1) * (now - self._stamp)
        self._stamp = now
        self.weigh()
        if self._policy.indexed:
            self._policy.index.cheaper(self._target, self._policy.cost(self._target, now))

    def _forgive(self) -> None:
        self._failures *= 1.0 - 1.0 / FAILURES_WINDOW
        if self._failures < 0.01:
            self._failures = 0.0
        self.penalty_s = FAILURE_COST_S * max(self._failures - FAILURES_BORNE, 0.0)
        self.rest_s = REST_S


class Steelyard:
    """The candidate where the next request is expected to end first."""

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "window": whole(3, 10_000),  # answers that the pace is reckoned from
        "explore": number(0.0, 0.1),  # of the requests
    }

    def __init__(self, window: int = WINDOW, explore: float = EXPLORE) -> None:
        self.keep = 1.0 - 1.0 / window
        self.mean_s = _UNKNOWN_S  # over answers
        self.answers = 0
        self.index = Index()  # of all who have joined
        self.indexed = False  # they are too many to look at all
        self._explore = explore
        self._credit = 0.0
        self._now = 0.0  # of the last pick

    def load_of(self, target: Target) -> Pace:
        """What it goes by."""
        return Pace(self, target)

    def learn(self, pace_s: float) -> None:
        """Whoever answered: what a target is like of which nothing is known."""
        self.answers += 1
        self.mean_s += (pace_s - self.mean_s) / (self.answers if self.answers < 100 else 100)

    def joined(self, target: Target) -> None:
        """It stands in the index, which is kept up to date from the moment that it is needed."""
        self.index.add(target, self.cost(target, self._now))
        if not self.indexed and len(self.index) > LOOK_AT_ALL:
            self.indexed = True
            for each in self.index.targets():
                self.index.cheaper(each, self.cost(each, self._now))

    def left(self, target: Target) -> None:
        """It does not any more."""
        self.index.drop(target)
        self.indexed = len(self.index) > LOOK_AT_ALL

    def cost(self, target: Target, now: float) -> float:
        """When the next request at `target` is expected to end, in seconds from now."""
        load: Any = target.load  # a Pace, as `load_of` made it
        cost: float = load.cost_s
        if load.lean:
            cost += load.pace_s * load.lean / (now - load.lean_from)
        if target.other_rows:
            cost += (load.pace_s or self.mean_s) * (target.pending - target.own)
        return cost

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at all of a few: O(1); has an index of many: O(log n)."""
        self._now = now
        self._credit += self._explore
        if self._credit >= 1.0:
            self._credit -= 1.0
            neglected = self._neglected(candidates, now, rng)
            if neglected is not None:
                return neglected
        count = len(candidates)
        if count > LOOK_AT_ALL:
            if count == len(self.index):
                drawn = candidates[int(rng.random() * count)]
                self.index.cheaper(drawn, self.cost(drawn, now))  # others' may have ended there
                cheapest = self.index.cheapest(self.cost, now)
                if cheapest is not None:
                    return cheapest  # type: ignore[return-value] # all who joined are candidates
            random = rng.random
            candidates = [candidates[int(random() * count)] for _ in range(DRAWS)]
            count = DRAWS
        start = int(rng.random() * count)
        best = candidates[start]
        lowest = NEVER_S
        if best.other_rows:
            for place in range(start - count, start):
                target = candidates[place]
                cost = self.cost(target, now)
                if cost < lowest:
                    best, lowest = target, cost
            return best
        for place in range(start - count, start):  # negative: from the end, so all the way round
            target = candidates[place]
            load: Any = target.load  # a Pace, as `load_of` made it
            cost = load.cost_s
            if load.lean:
                cost += load.pace_s * load.lean / (now - load.lean_from)
            if cost < lowest:
                best, lowest = target, cost
        return best

    def _neglected(self, candidates: Sequence[T], now: float, rng: Random) -> T | None:
        """Of a few, the one unheard of for longest, if that is too long."""
        if len(candidates) > DRAWS:
            candidates = [candidates[int(rng.random() * len(candidates))] for _ in range(DRAWS)]
        best: T | None = None
        longest_s = 0.0
        for target in candidates:
            load: Any = target.load
            silent_s = now - max(load.at, load.explored_at)
            if silent_s > max(load.rest_s, longest_s) and not target.pending:
                best, longest_s = target, silent_s
        if best is not None:
            explored: Any = best.load
            explored.explored_at = now
        return best
