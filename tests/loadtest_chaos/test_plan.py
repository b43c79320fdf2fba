"""The seed decides; nothing is left out and nothing comes twice before the rest has come."""

from __future__ import annotations

from itertools import islice

from loadtest.chaos.plan import Kind, faults


def test_the_seed_decides() -> None:
    first, again, other = (list(islice(faults(seed, 4), 40)) for seed in (7, 7, 8))
    assert first == again != other


def test_every_kind_comes_once_in_each_turn() -> None:
    turn = len(Kind)
    some = list(islice(faults(3, 4), 3 * turn))
    for start in range(0, 3 * turn, turn):
        assert {fault.kind for fault in some[start : start + turn]} == set(Kind)
    assert [f.kind for f in some[:turn]] != [f.kind for f in some[turn : 2 * turn]]
    assert {fault.victim for fault in some} == {0, 1, 2, 3}
