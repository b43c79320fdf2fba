"""A circle of points beside a plain sorted list of all of them."""

from __future__ import annotations

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.pick.ring import ARCS, Ring, arc_of
from services.balancer.target import Target
from tests.balancer.made import target

TARGETS = [target(number) for number in range(3)]
points = st.builds(
    lambda arc, low: (arc << 54) + low, st.sampled_from((0, 1, 1023)), st.integers(0, 9)
)
steps = st.lists(
    st.tuples(st.integers(0, 2), st.lists(points, max_size=8), st.booleans()), max_size=12
)


def next_of(ring: Ring, point: int) -> Target | None:
    arc, place = arc_of(point), ring.after(point)
    for _ in range(ARCS + 1):
        here = ring.of_arc(arc)
        if place < len(here):
            return ring.owner(arc, here[place])
        arc, place = (arc + 1) % ARCS, 0
    return None


@given(steps, st.lists(points, min_size=1, max_size=5))
def test_the_next_is_the_next_of_all(
    changes: list[tuple[int, list[int], bool]], keys: list[int]
) -> None:
    """Each change: a target stands at points, or leaves those that it has."""
    ring, plain = Ring(), dict[int, Target]()
    for who, where, looked in changes:
        one = TARGETS[who]
        if where:
            ring.place(one, where)
            plain |= dict.fromkeys(where, one)
        else:
            ring.remove(one, [point for point, owner in plain.items() if owner is one])
            plain = {point: owner for point, owner in plain.items() if owner is not one}
        for key in keys if looked else ():
            order = sorted(plain)
            expected = plain[order[bisect_right(order, key) % len(order)]] if order else None
            assert next_of(ring, key) is expected


def test_one_of_two_at_a_point_leaves_the_other_there() -> None:
    ring = Ring()
    ring.place(TARGETS[0], [5])
    ring.place(TARGETS[1], [5])
    ring.remove(TARGETS[0], [5])
    assert next_of(ring, 0) is TARGETS[1]
