"""How fast a target is, from what its own answers tell: the estimate that `steelyard` goes by.

*Pace* is how long a request would take at a target alone. Under processor sharing a target that has
`n` requests gives each an n-th of its speed, so the next one will take about pace x (n + 1).
Pending counts are known, so the pace is all there is to estimate:

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

The estimate is this project's own; docs/policies.md has the experiments that led to it.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final

from services.balancer.load import NEVER_S, SEEN_CELLS, Load
from services.balancer.pick.index import Index
from services.balancer.target import Target

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
LEAST_S: Final = 1e-6  # a pace, or how long others' requests last
_USUAL: Final = 0.1  # of what others tell at a look, in what is usual
_AGE_S: Final = 1e-6  # unit of how old that is
_SPENT_S: Final = 1e-9  # unit of what other processes are shown
_DIVISOR_REQUESTS: Final = 1e-3  # likewise
# Which cell is which; the first is written last.
_ANSWERS: Final = 0
_SPENT: Final = 1
_DIVISOR: Final = 2
_UNKNOWN_S: Final = 1e-3  # the pace of everyone before the first answer of anyone


class Paces:
    """What is known of all targets together. A policy that goes by paces inherits it.

    `indexed`: the targets are too many to look at all, so that the index is kept up to date.
    """

    def __init__(self, window: int) -> None:
        self.keep = 1.0 - 1.0 / window
        self.mean_s = _UNKNOWN_S  # over answers
        self.answers = 0
        self.newness = 1.0  # a newcomer's pace, times the mean
        self.level = 1.0  # pending at a target of other balancers, and one more; on average
        self._reports = 0  # heard, up to _LEVEL_WINDOW
        self.index = Index()  # of all who have joined
        self.indexed = False

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
        times = min(pace_s / max(self.mean_s, LEAST_S), _COLDEST)
        self.newness = max(self.newness + _NEWS * (times - self.newness), 1.0)

    def hear(self, others: float) -> float:
        """So many of other balancers' are pending somewhere. Returns the level."""
        self._reports = heard = min(self._reports + 1, _LEVEL_WINDOW)
        self.level += (others + 1.0 - self.level) / heard
        return self.level

    def cost(self, target: Target, now: float) -> float:
        """When the next request at `target` is expected to end, in seconds from now."""
        load: Any = target.load  # a Pace, as `load_of` made it
        if target.other_rows:
            with_others: float = load.cost_with_others(now)
            return with_others
        cost: float = load.cost_s
        level = self.level
        if level > 1.0:
            others = load.share * level - 1.0 + load.lean / (now - load.lean_from)
            cost += load.each_s * others
        return cost


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
        "_first",
        "_gathered",
        "_policy",
        "_reported",
        "_seen_by_others",
        "_siblings",
        "_slot",
        "_spent",
        "_stamp",
        "_target",
        "_usual",
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

    def __init__(self, policy: Paces, target: Target) -> None:
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
        self._usual = -1.0  # of other balancers' here, by what they tell; -1: not looked yet
        self._slot = target.slot
        self._siblings = target.siblings
        self._seen_by_others = target.seen[1:]
        self._first = first = target.slot * SEEN_CELLS
        self._gathered = [tuple(row[first : first + SEEN_CELLS]) for row in self._seen_by_others]
        self.weigh()

    def fresh(self) -> Pace:
        """Nothing is known."""
        return Pace(self._policy, self._target)

    def estimate_s(self) -> float:
        """What the next request here is expected to take, on average over others' requests."""
        target = self._target
        others = self.share * self._policy.level - 1.0
        return self.cost_s + self.each_s * (target.pending - target.own + others)

    def cost_with_others(self, now: float) -> float:
        """What the next request here costs with what others have pending, as `Paces.cost`.

        The other processes' requests are there at this moment. What other balancers told is true of
        a moment ago: after as long as those requests take, half of what it differs by from what is
        usual there is taken for gone. Else all who hear that a target has little to do send there
        at once.
        """
        if not self.pace_s:
            self.weigh()  # the others' mean is all that is known of it, and moves
        cost = self.cost_s
        each_s = self.each_s
        level = self._policy.level
        if level > 1.0:
            others = self.share * level - 1.0 + self.lean / (now - self.lean_from)
            cost += each_s * others
        slot = self._slot
        held = 0
        for row in self._siblings:
            held += row[slot]
        elsewhere: Any = self._target.elsewhere
        if elsewhere is None:
            return cost + each_s * held
        told: int = elsewhere[slot]
        usual = self._usual
        if usual < 0.0:
            usual = float(told)
        self._usual = usual = usual + _USUAL * (told - usual)
        lasts_s = max(each_s * (1.0 + told), LEAST_S)
        age_s: float = elsewhere[-1] * _AGE_S
        return cost + each_s * (held + (usual + (told - usual) * lasts_s / (lasts_s + age_s)))

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
        if target.seen:
            self._gather(now)
            self._show(spent_s, known)
        self._reckon(spent_s, known, known, self._policy.keep, now)
        if self._failures:
            self._forgive()
        policy = self._policy
        self.each_s = each_s = self.pace_s + _EVEN * policy.mean_s
        self.cost_s = each_s * own + self.penalty_s
        if policy.indexed:
            policy.index.cheaper(target, policy.cost(target, now))

    def _reckon(
        self, spent_s: float, divisor: float, known: float, keep: float, now: float
    ) -> None:
        """Add so much to both sums and keep so much of them; with each answer `known` pended."""
        policy = self._policy
        before = self._divisor
        if before == 0.0 and policy.answers:
            before = _PRIOR * known
            self._spent = policy.mean_s * policy.newness * before
            policy.meet(spent_s / divisor)
        elif now - self.at > REST_S and before > _OLD * known:
            self._spent *= _OLD * known / before
            before = _OLD * known
        self._spent = spent = self._spent * keep + spent_s
        self._divisor = divisor = before * keep + divisor
        self.pace_s = pace_s = spent / divisor
        self.at = now
        policy.learn(pace_s)

    def _show(self, spent_s: float, known: float) -> None:
        """An answer, to the other processes of this balancer."""
        row = self._target.seen[0]
        first = self._first
        row[first + _SPENT] += int(spent_s / _SPENT_S)
        row[first + _DIVISOR] += int(known / _DIVISOR_REQUESTS)
        row[first + _ANSWERS] += 1

    def gather(self, now: float) -> None:
        """What the other processes of this balancer were answered since the last time."""
        if self._gather(now):
            self.weigh()

    def _gather(self, now: float) -> bool:
        found = False
        first = self._first
        for place, row in enumerate(self._seen_by_others):
            last = self._gathered[place]
            count = row[first + _ANSWERS]
            if count == last[0]:
                continue
            spent, divisor = row[first + _SPENT], row[first + _DIVISOR]
            self._gathered[place] = (count, spent, divisor)
            answers = count - last[0]
            # Fewer: they count anew. No more of the divisor: it was read before the answer counted.
            if answers > 0 and divisor > last[2]:
                keep = self._policy.keep**answers
                weight = (1.0 - keep) / ((1.0 - self._policy.keep) * answers)  # if they were alike
                spent_s = (spent - last[1]) * _SPENT_S
                pended = (divisor - last[2]) * _DIVISOR_REQUESTS
                self._reckon(spent_s * weight, pended * weight, pended / answers, keep, now)
                found = True
        return found

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
        lasts_s = max(self.each_s * (1.0 + others), LEAST_S)
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
