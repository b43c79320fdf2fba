"""A cluster: its targets, which of them are eligible, and the pick among those.

Who may be picked is kept up to date when the picture changes, never worked out for a pick. Limits
move with every request, so a pick that lands on a full target draws again, and only then looks at
all.

Panic: when too small a part of the targets is eligible, the checks are likelier to be wrong (or
starved) than the targets, and what is left could not carry the load. Then everyone that is not
draining is a candidate (Envoy's healthy_panic_threshold; ALB calls it fail-open). Targets that were
never healthy are no part of it: they are still booting; unless there are no others. What a panic
doubts is the checks: who is ejected failed real requests, and stays out while there are others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from random import Random
from typing import Final, Generic, TypeVar, cast

from services.balancer.budget import RetryBudget
from services.balancer.config import Ejection, PolicySpec, Retry, SlowStart
from services.balancer.ejection import Ejector
from services.balancer.ledger import CLUSTER_CELLS, ClusterCell
from services.balancer.load import Load
from services.balancer.messages import TargetPicture
from services.balancer.pick.policy import Keyed, Policy
from services.balancer.ramp import Ramp
from services.balancer.room import Room
from services.balancer.roster import Roster
from services.balancer.target import Target

T = TypeVar("T", bound=Target)

REDRAWS: Final = 5  # Finagle's p2c: draws before it gives up and looks at everyone


class Cluster(Generic[T]):
    """A named set of targets with the policy that picks among them."""

    def __init__(
        self,
        name: str,
        policy: Policy,
        make: Callable[[TargetPicture], T],
        spec: PolicySpec,
        *,
        panic_percent: float = 0.0,
        ejection: Ejection | None = None,
        retry: Retry | None = None,
        counts: list[int] | None = None,
    ) -> None:
        self.name = name
        self.targets: dict[str, T] = {}
        self.panic_percent = panic_percent  # of the targets eligible; below it, panic; 0: never
        self.panicking = False
        self.counts = counts or [0] * CLUSTER_CELLS  # by ClusterCell
        self.requests = 0  # placed here by this process, each counted once
        self.budget = RetryBudget(retry or Retry())
        self.ramp: Ramp[T] = Ramp(SlowStart())
        self.room = Room()
        self.until_try = 0.0  # a first try's deadline, set by whoever knows the time
        self._now = 0.0  # at the last tick
        self._make = make
        self._eligible: Roster[T] = Roster()
        self._proven: Roster[T] = Roster()  # not draining, healthy now or before
        self._trusted: Roster[T] = Roster()  # proven and not ejected
        self._present: Roster[T] = Roster()  # not draining
        self.ejector = Ejector(ejection or Ejection(), self._present.members, self._put)
        self._chosen = self._eligible  # whose members are the candidates
        self.eligible = self.candidates = self._eligible.members
        self.follow(policy, spec)

    def follow(self, policy: Policy, spec: PolicySpec) -> None:
        """Pick by `policy`, built from `spec`, from now on; it learns of all targets anew.

        What the one before has learnt is kept when both want to know the same.
        """
        self.policy = policy
        self.spec = spec
        self._pick: Callable[[Sequence[T], float, Random], T] = policy.pick
        self.key_from: str | None = getattr(policy, "key_from", None)
        self._load_of: Callable[[Target], Load] | None = getattr(policy, "load_of", None)
        self._joined: Callable[[Target], None] | None = getattr(policy, "joined", None)
        self._left: Callable[[Target], None] | None = getattr(policy, "left", None)
        self._told: set[T] = set()  # the candidates that the policy knows of
        self._begins = False  # what is known of targets includes requests that have not ended
        for target in self.targets.values():
            self._equip(target)
            self._tell(target)

    def _equip(self, target: T) -> None:
        load = Load() if self._load_of is None else self._load_of(target)
        if self._load_of is not None or type(load) is not type(target.load):
            target.load = load
        self._begins = type(load).begin is not Load.begin

    def __repr__(self) -> str:
        panic = ", panic" if self.panicking else ""
        return f"<Cluster {self.name}: {len(self.eligible)} of {len(self.targets)} eligible{panic}>"

    def pick(self, now: float, rng: Random, tried: Collection[Target] = ()) -> T | None:
        """Choose a target and claim a place on it; None when no candidate has room.

        The candidates are the eligible targets, or in panic all. A target in `tried` is chosen
        again only when it is the last one.
        """
        candidates = self.candidates
        if not candidates or (self.room.limit and self.room.full):
            return None
        ramping = self.ramp.count
        if ramping and 2 * ramping <= len(candidates):  # when most are new, nobody can spare them
            return self._pick_gently(now, rng, tried)
        for _ in range(REDRAWS):
            target = self._pick(candidates, now, rng)
            if (not tried or target not in tried) and target.claim():
                if self._begins:
                    target.load.begin(now)
                return target
        fresh = self._with_room(tried)
        return self._claimed(self.policy.pick(fresh, now, rng), now) if fresh else None

    def _pick_gently(self, now: float, rng: Random, tried: Collection[Target]) -> T | None:
        """As `pick`, while some candidates are in their slow start."""
        passed: list[Target] = list(tried)
        for _ in range(REDRAWS):
            target = self.policy.pick(self.candidates, now, rng)
            if target in passed:
                break  # this policy would say the same again
            if self.ramp.passes_over(target, now, rng):
                passed.append(target)
            elif self._claimed(target, now) is not None:
                return target
        fresh = self._with_room(tried)
        fresh = [target for target in fresh if target not in passed] or fresh
        return self._claimed(self.policy.pick(fresh, now, rng), now) if fresh else None

    def pick_keyed(
        self, key: bytes, now: float, rng: Random, tried: Collection[Target] = ()
    ) -> T | None:
        """As `pick`, for a policy that goes by a key of the request; one without (b"") does not."""
        if not key:
            return self.pick(now, rng, tried)
        if self.room.limit and self.room.full:
            return None
        policy = cast("Keyed", self.policy)
        if self.candidates and not tried:
            target = policy.pick_keyed(key, self.candidates, now, rng)
            if self._claimed(target, now) is not None:
                return target
        fresh = self._with_room(tried)
        return self._claimed(policy.pick_keyed(key, fresh, now, rng), now) if fresh else None

    def _with_room(self, tried: Collection[Target]) -> list[T]:
        rest = [t for t in self.candidates if not t.full]
        return [t for t in rest if t not in tried] or rest

    def _claimed(self, target: T, now: float) -> T | None:
        if not target.claim():
            return None
        if self._begins:
            target.load.begin(now)
        return target

    def upsert(self, picture: TargetPicture, version: int) -> None:
        """A target is there, or something about it has changed."""
        target = self.targets.get(picture.id)
        if target is not None and target.slot != picture.slot:
            self.remove(picture.id)  # left and came back between two pictures
            target = None
        if target is None:
            target = self.targets[picture.id] = self._make(picture)
            target.judge = self.ejector.failed
            target.room = self.room
            self._equip(target)
        else:
            if target.weight != picture.weight and target in self._told and self._left is not None:
                self._told.remove(target)  # it joins again with its new weight
                self._left(target)
            if target.see(picture):
                self.ejector.pardon(target)
        target.version = version
        self._put(target)

    def remove(self, target_id: str) -> T | None:
        """The target is gone."""
        target = self.targets.pop(target_id, None)
        if target is not None:
            target.leave()
            self.ejector.pardon(target)
            self._put(target)
        return target

    def stale(self, version: int) -> list[str]:
        """The ids of the targets that the full picture of this version did not name."""
        return [t.id for t in self.targets.values() if t.version != version]

    def tick(self, now: float) -> None:
        """What time alone changes; to be called all the time."""
        self._now = now
        self.ramp.tick(now)
        if self.room.waiting:
            self.room.serve()  # other processes' requests have ended, or a target has come
            self.counts[ClusterCell.QUEUE_TIMEOUTS] += self.room.expire(now)
        self.budget.roll(now, self.requests)
        self.ejector.tick(now)

    def another_than(self, tried: Collection[Target]) -> bool:
        """Whether a candidate with room is left that was not tried."""
        return any(t not in tried and not t.full for t in self.candidates)

    def settle(self) -> None:
        """Decide who the candidates are; after any change of who is eligible, or of the threshold.

        A panic compares with the proven targets, or booting ones would make a cluster panic that
        is only growing.
        """
        eligible = self.eligible
        others = self._proven if self._proven.members else self._present
        panic = 100 * len(eligible) < self.panic_percent * len(others.members)
        if self._trusted.members:
            others = self._trusted
        if panic and not self.panicking:
            self.counts[ClusterCell.PANICS] += 1
        self.panicking = panic
        self.counts[ClusterCell.PANICKING] = panic
        self.counts[ClusterCell.ELIGIBLE] = len(eligible)
        before = self._chosen
        self._chosen = others if panic else self._eligible
        self.candidates = self._chosen.members
        if self._chosen is not before:
            for target in self.targets.values():
                self._tell(target)

    def _put(self, target: T) -> None:
        """Put it on the rosters where it belongs."""
        if not target.open_to_requests:
            self.ramp.end(target)
        elif target not in self._eligible:
            self.ramp.begin(target, self._now)
        self._eligible.keep(target, target.open_to_requests)
        proven = target.proven and not target.draining
        self._proven.keep(target, proven)
        self._trusted.keep(target, proven and not target.ejected)
        self._present.keep(target, not target.draining)
        self.settle()
        self._tell(target)

    def _tell(self, target: T) -> None:
        """Tell a policy that follows the candidates whether this is one."""
        if self._joined is None or self._left is None:
            return
        if target in self._chosen:
            if target not in self._told:
                self._told.add(target)
                self._joined(target)
        elif target in self._told:
            self._told.remove(target)
            self._left(target)
