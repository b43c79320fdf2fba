"""A set of targets to draw from: a list, and where in it each target stands, so that joining,
leaving and drawing cost the same among ten and among ten thousand."""

from __future__ import annotations

from typing import Generic, TypeVar

from services.balancer.target import Target

T = TypeVar("T", bound=Target)


class Roster(Generic[T]):
    """`members` stays the same list object for ever; its order means nothing."""

    __slots__ = ("_place", "members")

    def __init__(self) -> None:
        self.members: list[T] = []
        self._place: dict[str, int] = {}  # id -> index in members

    def __repr__(self) -> str:
        return f"<Roster of {len(self.members)}>"

    def __contains__(self, target: T) -> bool:
        return target.id in self._place

    def keep(self, target: T, on: bool) -> None:
        """Make it a member or not."""
        place = self._place.get(target.id)
        if on is (place is not None):
            return
        if place is None:
            self._place[target.id] = len(self.members)
            self.members.append(target)
            return
        del self._place[target.id]
        last = self.members.pop()
        if last is not target:
            self.members[place] = last
            self._place[last.id] = place
