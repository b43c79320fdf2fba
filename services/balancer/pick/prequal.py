"""Prequal: a pool of probe answers, and the hot-cold lexicographic rule.

Wydrowski, Kleinberg, Rumble and Archer, "Load is not what you should balance: introducing Prequal",
NSDI 2024. Probes go to targets at random, their answers (pending, latency near that) wait in a
small pool and are used a few times each. A target with more pending than most is hot: among the
others the lowest latency goes, among hot ones the fewest pending.

Load reports that come with responses fill the pool as well: where every target sends them, probes
are needed only for targets without traffic.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import ceil
from random import Random
from typing import ClassVar, Final

from services.balancer.load import Load
from services.balancer.pick.parameters import Parameter, number, whole
from services.balancer.pick.policy import T
from services.balancer.target import Target

POOL: Final = 16  # the paper's m
Q_RIF: Final = 2.0**-0.25  # the paper's: 0.84
PROBES: Final = 3.0  # r_probe, a request
REMOVED: Final = 1.0  # r_remove, a request
MAX_AGE_S: Final = 1.0
DELTA: Final = 1.0
MOST_USES: Final = 16.0  # where the formula has no answer, age alone ends an entry's use
SEEN: Final = 128  # pending counts that the quantile is taken of


def uses(pool: int, targets: int, probes: float, removed: float) -> float:
    """How often an answer is used: b = max(1, (1 + delta) / ((1 - m/n) r_probe - r_remove)).

    The denominator is what comes into the pool and is not taken out unused; where it is 0 or less
    (few targets, few probes) the formula is undefined, and this gives MOST_USES.
    """
    gain = (1.0 - pool / targets) * probes - removed
    return min(max(1.0, (1.0 + DELTA) / gain), MOST_USES) if gain > 0.0 else MOST_USES


class Answer:
    """What a target said of itself, as long as it is in the pool."""

    __slots__ = ("at", "latency_s", "pending", "target", "uses")

    def __init__(
        self, target: Target, pending: float, latency_s: float, at: float, uses: int
    ) -> None:
        self.target = target
        self.pending = pending
        self.latency_s = latency_s
        self.at = at
        self.uses = uses  # that are left

    def __repr__(self) -> str:
        return f"<Answer {self.target.id}: {self.pending:g} pending, {self.latency_s * 1e3:g} ms>"


class Reporting(Load):
    """Hands a target's reports on to the pool."""

    __slots__ = ("_policy", "_target")

    wants_reports: ClassVar[bool] = True

    def __init__(self, policy: Prequal, target: Target) -> None:
        super().__init__()
        self._policy = policy
        self._target = target

    def fresh(self) -> Reporting:
        """Of the same policy."""
        return Reporting(self._policy, self._target)

    def reported(
        self, pending: float | None, latency_s: float | None, cpu: float | None, now: float
    ) -> None:
        """A target that does not say how long a request takes counts as free: it was just asked."""
        super().reported(pending, latency_s, cpu, now)
        if pending is not None:
            self._policy.heard(self._target, pending, latency_s or 0.0, now)


class Prequal:
    """The best answer in the pool by the hot-cold rule; any target while there are fewer than two.

    In a small cluster the pool is at most half as large as the cluster, or the reuse formula would
    have no answer.
    """

    PARAMETERS: ClassVar[Mapping[str, Parameter]] = {
        "pool": whole(2, 1024),
        "q_rif": number(0.0, 1.0),  # 0: by pending alone, 1: by latency alone
        "probes": number(0.0, 16.0),  # a request
        "removed": number(0.0, 16.0),  # answers taken out of the pool, a request
        "max_age_s": number(0.001, 60.0),
    }

    def __init__(
        self,
        pool: int = POOL,
        q_rif: float = Q_RIF,
        probes: float = PROBES,
        removed: float = REMOVED,
        max_age_s: float = MAX_AGE_S,
    ) -> None:
        self.pool: list[Answer] = []  # in the order of their coming
        self._size = pool
        self._q_rif = q_rif
        self._probes = probes
        self._removed = removed
        self._max_age_s = max_age_s
        self._seen: deque[float] = deque()
        self._sorted: list[float] = []  # the same
        self._members: set[Target] = set()
        self._targets = 1  # candidates of the last pick
        self._probes_due = 0.0
        self._removals_due = 0.0
        self._uses_due = 0.0
        self._worst_next = False

    def load_of(self, target: Target) -> Reporting:
        """What it goes by."""
        return Reporting(self, target)

    def joined(self, target: Target) -> None:
        """Its answers may be used."""
        self._members.add(target)

    def left(self, target: Target) -> None:
        """They may not."""
        self._members.discard(target)

    def heard(self, target: Target, pending: float, latency_s: float, now: float) -> None:
        """An answer came. The oldest makes room; b is rounded so that its mean is right."""
        seen, ordered = self._seen, self._sorted
        seen.append(pending)
        insort(ordered, pending)
        if len(seen) > SEEN:
            del ordered[bisect_left(ordered, seen.popleft())]
        size = self._room()
        self._uses_due += uses(size, self._targets, self._probes, self._removed)
        whole_uses = int(self._uses_due)
        self._uses_due -= whole_uses
        if len(self.pool) >= size:
            del self.pool[0]
        self.pool.append(Answer(target, pending, latency_s, now, whole_uses))

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """O(pool); O(n) among some of the eligible."""
        self._targets = count = len(candidates)
        oldest = now - self._max_age_s
        pool = self.pool
        if pool and pool[0].at < oldest:
            pool = self.pool = [answer for answer in pool if answer.at >= oldest]
        self._remove()
        members = self._members
        allowed: AbstractSet[Target] = members if count == len(members) else set(candidates)
        usable = [answer for answer in self.pool if answer.target in allowed]
        if len(usable) < 2:
            return candidates[int(rng.random() * count)]
        best = self._best(usable)
        best.pending += 1.0  # the paper's self-compensation
        best.uses -= 1
        if best.uses <= 0:
            self.pool.remove(best)
        return best.target  # type: ignore[return-value] # it is one of the candidates

    def wants_probes(self, candidates: Sequence[T], now: float, rng: Random) -> Sequence[T]:
        """`probes` a request on average, without asking one target twice."""
        self._probes_due += self._probes
        wanted = min(int(self._probes_due), len(candidates))
        self._probes_due -= int(self._probes_due)
        return rng.sample(candidates, wanted)

    def hot_above(self) -> float:
        """Theta: the Q_RIF quantile of the pending counts seen lately."""
        ordered = self._sorted
        if not ordered or self._q_rif >= 1.0:
            return float("inf")
        if self._q_rif <= 0.0:
            return -1.0
        return ordered[min(ceil(self._q_rif * len(ordered)), len(ordered)) - 1]

    def _room(self) -> int:
        return max(2, min(self._size, self._targets // 2))

    def _best(self, answers: Sequence[Answer]) -> Answer:
        theta = self.hot_above()
        cold = [answer for answer in answers if answer.pending <= theta]
        if cold:
            return min(cold, key=lambda answer: answer.latency_s)
        return min(answers, key=lambda answer: answer.pending)

    def _remove(self) -> None:
        """The oldest and the worst in turn, so that the pool is not left with who is worst."""
        self._removals_due += self._removed
        while self._removals_due >= 1.0:
            self._removals_due -= 1.0
            if len(self.pool) <= 2:  # fewer, and the next pick would be blind
                continue
            if self._worst_next:
                self.pool.remove(self._worst())
            else:
                del self.pool[0]
            self._worst_next = not self._worst_next

    def _worst(self) -> Answer:
        theta = self.hot_above()
        hot = [answer for answer in self.pool if answer.pending > theta]
        if hot:
            return max(hot, key=lambda answer: answer.pending)
        return max(self.pool, key=lambda answer: answer.latency_s)
