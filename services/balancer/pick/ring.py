"""A circle of 64-bit points, each somebody's: who stands next after a given one?

It is cut into arcs by the points' highest bits, and an arc is put in order when somebody looks at
it: ten thousand targets have a million points, and to sort them all would hold every request up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from services.balancer.target import Target

ARCS: Final = 1024  # a thousand points in each with 10,000 targets
_SHIFT: Final = 54  # of a point, to its arc's number


class Ring:
    """Who stands where."""

    __slots__ = ("_at", "_points")

    def __init__(self) -> None:
        self._at: list[dict[int, Target]] = [{} for _ in range(ARCS)]
        # In order where it is as long as `_at`; empty since somebody left, or too short since
        # somebody came.
        self._points: list[list[int]] = [[] for _ in range(ARCS)]

    def place(self, target: Target, points: Iterable[int]) -> None:
        """It stands at these from now on."""
        at = self._at
        for point in points:
            at[point >> _SHIFT][point] = target

    def remove(self, target: Target, points: Iterable[int]) -> None:
        """It stands at these no more."""
        for point in points:
            arc = point >> _SHIFT
            if self._at[arc].get(point) is target:  # else two had the same, and the later has it
                del self._at[arc][point]
                self._points[arc] = []

    def after(self, point: int) -> int:
        """How many points of its arc stand before the first that comes after it."""
        return bisect_right(self.of_arc(point >> _SHIFT), point)

    def of_arc(self, arc: int) -> list[int]:
        """All points of an arc, in order."""
        points, at = self._points[arc], self._at[arc]
        if len(points) != len(at):
            self._points[arc] = points = sorted(at)
        return points

    def owner(self, arc: int, point: int) -> Target:
        """Who stands at a point of the arc."""
        return self._at[arc][point]


def arc_of(point: int) -> int:
    """The number of the arc that a point lies in."""
    return point >> _SHIFT
