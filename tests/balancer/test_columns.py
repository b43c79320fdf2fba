"""Columns of the ledger: nobody shares one, who stays keeps it, whatever the order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.columns import assign
from services.balancer.ledger import CLUSTERS

NAMES = st.lists(st.sampled_from("abcdefgh"), unique=True)


@given(st.lists(NAMES, min_size=1))
def test_who_stays_keeps_its_column(reloads: list[list[str]]) -> None:
    before: dict[str, int] = {}
    for names in reloads:
        now = assign(before, names)
        assert list(now) == names
        assert len(set(now.values())) == len(names)
        assert all(now[name] == before[name] for name in names if name in before)
        assert not {now[name] for name in names if name not in before} & set(before.values())
        before = now


def test_all_of_them_fit_even_when_every_name_changes() -> None:
    before = assign({}, [f"a{n}" for n in range(CLUSTERS)])
    now = assign(before, [*(f"b{n}" for n in range(CLUSTERS - 1)), "a7"])
    assert sorted(now.values()) == sorted(before.values()) == list(range(CLUSTERS))
    assert now["a7"] == before["a7"] == 7
