"""A cluster: its targets, which of them are eligible, and the pick among those.

The eligible list is kept up to date when the picture changes, never rebuilt for a pick. Limits move
with every request, so a pick that lands on a full target draws again, and only then looks at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random
from typing import Final, Generic, TypeVar, cast

from services.balancer.config import PolicySpec
from services.balancer.load import Load
from services.balancer.messages import TargetPicture
from services.balancer.pick.policy import Keyed, Policy
from services.balancer.target import Target

T = TypeVar("T", bound=Target)

REDRAWS: Final = 5  # Finagle's p2c: draws before it gives up and looks at everyone


class Cluster(Generic[T]):
    """A named set of targets with the policy that picks among them."""

    def __init__(
        self, name: str, policy: Policy, make: Callable[[TargetPicture], T], spec: PolicySpec
    ) -> None:
        self.name = name
        self.targets: dict[str, T] = {}
        self.eligible: list[T] = []
        self._place: dict[str, int] = {}  # id -> index in eligible
        self._make = make
        self.follow(policy, spec)

    def follow(self, policy: Policy, spec: PolicySpec) -> None:
        """Pick by `policy`, built from `spec`, from now on; it learns of all targets anew.

        What the one before has learnt is kept when both want to know the same.
        """
        self.policy = policy
        self.spec = spec
        self.key_from: str | None = getattr(policy, "key_from", None)
        self._load_of: Callable[[Target], Load] | None = getattr(policy, "load_of", None)
        self._joined: Callable[[Target], None] | None = getattr(policy, "joined", None)
        self._left: Callable[[Target], None] | None = getattr(policy, "left", None)
        self._begins = False  # what is known of targets includes requests that have not ended
        for target in self.targets.values():
            self._equip(target)
        if self._joined is not None:
            for target in self.eligible:
                self._joined(target)

    def _equip(self, target: T) -> None:
        load = Load() if self._load_of is None else self._load_of(target)
        if self._load_of is not None or type(load) is not type(target.load):
            target.load = load
        self._begins = type(load).begin is not Load.begin

    def __repr__(self) -> str:
        return f"<Cluster {self.name}: {len(self.eligible)} of {len(self.targets)} eligible>"

    def pick(self, now: float, rng: Random, tried: Collection[Target] = ()) -> T | None:
        """Choose a target and claim a place on it; None when no eligible target has room.

        A target in `tried` is chosen again only when it is the last one eligible.
        """
        eligible = self.eligible
        if not eligible:
            return None
        for _ in range(REDRAWS):
            target = self.policy.pick(eligible, now, rng)
            if target not in tried and target.claim():
                if self._begins:
                    target.load.begin(now)
                return target
        fresh = self._with_room(tried)
        return self._claimed(self.policy.pick(fresh, now, rng), now) if fresh else None

    def pick_keyed(
        self, key: bytes, now: float, rng: Random, tried: Collection[Target] = ()
    ) -> T | None:
        """As `pick`, for a policy that goes by a key of the request."""
        policy = cast("Keyed", self.policy)
        if self.eligible and not tried:
            target = policy.pick_keyed(key, self.eligible, now, rng)
            if self._claimed(target, now) is not None:
                return target
        fresh = self._with_room(tried)
        return self._claimed(policy.pick_keyed(key, fresh, now, rng), now) if fresh else None

    def _with_room(self, tried: Collection[Target]) -> list[T]:
        rest = [t for t in self.eligible if not t.full]
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
            self._equip(target)
        else:
            target.see(picture)
        target.version = version
        if target.open_to_requests:
            self._admit(target)
        else:
            self._bar(target)

    def remove(self, target_id: str) -> T | None:
        """The target is gone."""
        target = self.targets.pop(target_id, None)
        if target is not None:
            target.leave()
            self._bar(target)
        return target

    def sweep(self, version: int) -> list[T]:
        """Remove the targets that a full picture did not name."""
        stale = [t.id for t in self.targets.values() if t.version != version]
        return [t for t in map(self.remove, stale) if t is not None]

    def _admit(self, target: T) -> None:
        if target.id not in self._place:
            self._place[target.id] = len(self.eligible)
            self.eligible.append(target)
            if self._joined is not None:
                self._joined(target)

    def _bar(self, target: T) -> None:
        place = self._place.pop(target.id, None)
        if place is None:
            return
        if self._left is not None:
            self._left(target)
        last = self.eligible.pop()
        if last is not target:
            self.eligible[place] = last
            self._place[last.id] = place
