"""Shortest expected delay from what the targets' own answers tell of their speed: the house rule.

*Pace* is how long a request would take at a target alone. Under processor sharing a target that has
`n` requests gives each an n-th of its speed, so the next one will take about pace x (n + 1): the
pick is the lowest of that. Pending counts are known, so the pace is all there is to estimate:

    pace = time that our requests have spent at the target
           / sum, over those that ended, of the requests pending there at that moment

Both sums decay with each answer. The requests' sizes, how many there were at a time and whose they
were cancel out: over a stretch with `n` pending, of which `m` ours, our time grows by m a second
and the divisor by n x (m / n) / pace. A request that takes long counts while it lasts, not when it
ends: a target that slows down is dearer before it has answered.

Other balancers' requests count as pending when they tell of them. Of those that do not, the load
reports tell: how many there are at a target for a moment, and for longer how many at a target on
average now (the *level*, of which each report tells) and what share of it this target has. Without
either, they are felt as a higher pace.

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
LOOKS: Final = 32  # at some of many for one pick, at most
EXPLORE: Final = 0.02  # of all requests at most, to learn of targets that get none
REST_S: Final = 1.0  # without an answer, before a target is explored; doubles while it fails
LONGEST_REST_S: Final = 30.0
FAILURE_COST_S: Final = 1.0  # a failure counts as this slow
FAILURES_WINDOW: Final = 10  # attempts
FAILURES_BORNE: Final = 0.15  # of the attempts: one in ten now and then is no trend
_PRIOR: Final = 4.0  # answers that what is known of the others is worth for a newcomer
_OLD: Final = 3.0  # answers that all before a rest is worth
_OVERDUE: Final = 2.0  # times the expected wait for the next answer
_NEWS: Final = 0.1  # of a newcomer's first answer, in what newcomers are like
_COLDEST: Final = 5.0  # times the mean pace, at most, that counts of it
_SHARE_GAIN: Final = 0.1  # of a new report, in a target's share of others' pending requests
_LEVEL_WINDOW: Final = 100  # reports, for the mean over all targets
_HEDGE: Final = 0.5  # requests; see `Pace`
_EVEN: Final = 0.1  # of everyone's mean pace; likewise
_LEAST_S: Final = 1e-6  # a pace, or how long others' requests last
_UNKNOWN_S: Final = 1e-3  # the pace of everyone before the first answer of anyone


class Pace(Load):
    """How fast a target is, whose pending requests are `others`' and how often it fails.

    `pace_s` is 0 while nothing is known. Reckoned at the begin and the end of each request; `_area`
    is request-seconds since the last answer.

    Targets that answer alike whatever is pending (they wait for a database) look the faster the
    more they have, latency / n x (n + 1), and the fullest would get all. Against that each request
    costs _EVEN of everyone's mean pace more than its target's own (`each_s`), and the divisor
    counts _HEDGE more requests with each answer than are pending. Targets that do share their speed
    are judged a little too alike, which hedges against an estimate that is off.
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
        "each_s",
        "explored_at",
        "lean",
        "lean_from",
        "pace_s",
        "penalty_s",
        "rest_s",
        "share",
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
        self.share = 1.0  # of other balancers' requests here, in times the level
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
        others = self.share * self._policy.level - 1.0
        return self.cost_s + self.each_s * (target.pending - target.own + others)

    def weigh(self) -> None:
        """Reckon `cost_s` anew: something that it is made of has changed."""
        policy = self._policy
        pace_s = self.pace_s or policy.mean_s * policy.newness
        self.each_s = each_s = pace_s + _EVEN * policy.mean_s
        self.cost_s = each_s * (self._target.own + 1.0) + self.penalty_s

    def begin(self, now: float) -> None:
        """One more is pending; when the answer before it is overdue, the pace is higher."""
        before = self._target.own - 1
        if before > 0:
            if self._stamp >= 0.0:
                self._area += before * (now - self._stamp)
            here = before + self.share * self._policy.level - 1.0
            if self._target.other_rows:
                here += self._target.pending - before - 1
            if self._area > _OVERDUE * self.pace_s * here and self._divisor:
                pace_s = (self._spent + self._area) / (self._divisor + here + _HEDGE)
                self.pace_s = max(pace_s, self.pace_s)
        self._stamp = now
        self.weigh()

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
            if others or self._policy.level > 1.0:
                self._heard(others, now)
            known += others
        known += _HEDGE
        policy = self._policy
        divisor = self._divisor
        if divisor == 0.0 and policy.answers:
            self._divisor = divisor = _PRIOR * known
            self._spent = policy.mean_s * policy.newness * divisor
            policy.meet(spent_s / known)
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
        self.each_s = each_s = pace_s + _EVEN * policy.mean_s
        self.cost_s = each_s * own + self.penalty_s
        if policy.indexed:
            policy.index.cheaper(target, policy.cost(target, now))

    def _heard(self, others: float, now: float) -> None:
        """So many of other balancers' are pending: true now, less and less so as time goes by.

        After as long as they take, half of what they differ by from this target's share of the
        level is taken for gone. Both count one request more than there are, so that a share says
        little where there are few.
        """
        policy = self._policy
        known = self.lean_from > -NEVER_S
        level = policy.hear(others)
        self.share += (_SHARE_GAIN if known else 0.5) * ((others + 1.0) / level - self.share)
        lasts_s = max(self.each_s * (1.0 + others), _LEAST_S)
        self.lean = (others + 1.0 - self.share * level) * lasts_s
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
    """The candidate where the next request is expected to end first.

    At the start every target costs a millisecond or two, so each is tried once before any is asked
    again. Not where others tell what they have pending there: that counts by what requests take,
    as the first answers of anyone have shown.
    """

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "window": whole(3, 10_000),  # answers that the pace is reckoned from
        "explore": number(0.0, 0.1),  # of the requests
    }

    def __init__(self, window: int = WINDOW, explore: float = EXPLORE) -> None:
        self.keep = 1.0 - 1.0 / window
        self.mean_s = _UNKNOWN_S  # over answers
        self.answers = 0
        self.newness = 1.0  # a newcomer's pace, times the mean
        self.level = 1.0  # pending at a target of other balancers, and one more; on average
        self._heard = 0  # reports, up to _LEVEL_WINDOW
        self.index = Index()  # of all who have joined
        self.indexed = False  # they are too many to look at all
        self._explore = explore
        self._credit = 0.0
        self._looked = 0  # the place of whom was looked at again last
        self._now = 0.0  # of the last pick

    def load_of(self, target: Target) -> Pace:
        """What it goes by."""
        return Pace(self, target)

    def learn(self, pace_s: float) -> None:
        """Whoever answered: what a target is like of which nothing is known."""
        self.answers += 1
        self.mean_s += (pace_s - self.mean_s) / (self.answers if self.answers < 100 else 100)
        if self.answers == 1 and not self.indexed:
            for target in self.index.targets():
                if target.other_rows:
                    load: Any = target.load
                    load.weigh()

    def meet(self, pace_s: float) -> None:
        """A newcomer's first answer: the next one is likely to be as cold, but not to be faster."""
        times = min(pace_s / max(self.mean_s, _LEAST_S), _COLDEST)
        self.newness = max(self.newness + _NEWS * (times - self.newness), 1.0)

    def hear(self, others: float) -> float:
        """So many of other balancers' are pending somewhere. Returns the level."""
        self._heard = heard = min(self._heard + 1, _LEVEL_WINDOW)
        self.level += (others + 1.0 - self.level) / heard
        return self.level

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
        told = target.other_rows
        if told and not load.pace_s:
            load.weigh()  # the others' mean is all that is known of it, and moves
        cost: float = load.cost_s
        level = self.level
        if level > 1.0:
            others = load.share * level - 1.0 + load.lean / (now - load.lean_from)
            cost += load.each_s * others
        if told:
            cost += load.each_s * (target.pending - target.own)
        return cost

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """Looks at all of a few: O(1); has an index of many: O(log n)."""
        before_s, self._now = self._now, now
        self._credit += self._explore
        if self._credit >= 1.0:
            self._credit -= 1.0
            neglected = self._neglected(candidates, now, rng)
            if neglected is not None:
                return neglected
        count = len(candidates)
        if count > LOOK_AT_ALL:
            if count == len(self.index):
                self._looked = looked = (self._looked + 1) % count
                seen = candidates[looked]
                self.index.cheaper(seen, self.cost(seen, now))  # others' may have ended there
                if self.level > 1.0 or seen.other_rows:
                    self._look_further(candidates, now - before_s, now)
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
        level = self.level
        for place in range(start - count, start):  # negative: from the end, so all the way round
            target = candidates[place]
            load: Any = target.load  # a Pace, as `load_of` made it
            cost = load.cost_s
            if level > 1.0:
                others = load.share * level - 1.0 + load.lean / (now - load.lean_from)
                cost += load.each_s * others
            if cost < lowest:
                best, lowest = target, cost
        return best

    def _look_further(self, candidates: Sequence[T], passed_s: float, now: float) -> None:
        """At more of many in turn, where other balancers' requests may have ended meanwhile.

        At all once in as long as one request takes, but at no more than LOOKS for one pick: when
        picks are many, each need look at few.
        """
        count, looked, index = len(candidates), self._looked, self.index
        looks = min(int(passed_s / max(self.mean_s, _LEAST_S) * count), LOOKS - 1)
        for place in range(looked + 1, looked + looks + 1):
            target = candidates[place % count]
            index.cheaper(target, self.cost(target, now))
        self._looked = (looked + looks) % count

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
