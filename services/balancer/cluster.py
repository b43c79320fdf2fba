"""A cluster: its targets, which of them are eligible, and the pick among those.

The eligible list is kept up to date when the picture changes, never rebuilt for a pick. Limits move
with every request, so a pick that lands on a full target draws again, and only then looks at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from random import Random
from typing import Final, Generic, TypeVar

from services.balancer.config import PolicySpec
from services.balancer.messages import TargetPicture
from services.balancer.pick.policy import Policy
from services.balancer.target import Target

T = TypeVar("T", bound=Target)

REDRAWS: Final = 5  # Finagle's p2c: draws before it gives up and looks at everyone


class Cluster(Generic[T]):
    """A named set of targets with the policy that picks among them."""

    def __init__(
        self, name: str, policy: Policy, make: Callable[[TargetPicture], T], spec: PolicySpec
    ) -> None:
        self.name = name
        self.policy = policy
        self.spec = spec  # what the policy was built from
        self.targets: dict[str, T] = {}
        self.eligible: list[T] = []
        self._place: dict[str, int] = {}  # id -> index in eligible
        self._make = make

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
                return target
        rest = [t for t in eligible if not t.full]
        fresh = [t for t in rest if t not in tried] or rest
        if not fresh:
            return None
        target = self.policy.pick(fresh, now, rng)
        return target if target.claim() else None

    def upsert(self, picture: TargetPicture, version: int) -> None:
        """A target is there, or something about it has changed."""
        target = self.targets.get(picture.id)
        if target is not None and target.slot != picture.slot:
            self.remove(picture.id)  # left and came back between two pictures
            target = None
        if target is None:
            target = self.targets[picture.id] = self._make(picture)
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

    def _bar(self, target: T) -> None:
        place = self._place.pop(target.id, None)
        if place is None:
            return
        last = self.eligible.pop()
        if last is not target:
            self.eligible[place] = last
            self._place[last.id] = place
