"""The arcs of several balancers: fair, whole, the same everywhere, quiet when targets change."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.address import Address
from services.balancer.config import Balancers, ClusterConfig, Config, TargetSource
from services.balancer.subset import subset
from tests.balancer.fleet.conditions import wait_until
from tests.balancer.fleet.test_attend import running

SIZES = st.tuples(st.integers(1, 400), st.integers(1, 100), st.integers(1, 30))


def addresses(count: int) -> list[Address]:
    return [Address(f"10.0.{n // 256}.{n % 256}", 80) for n in range(count)]


def arcs(targets: list[Address], size: int, count: int) -> list[list[Address]]:
    return [subset(targets, size, Balancers(count=count, index=i)) for i in range(count)]


@given(SIZES)
def test_every_target_is_used_by_equally_many_balancers(sizes: tuple[int, int, int]) -> None:
    targets, size, count = sizes
    found = arcs(addresses(targets), size, count)
    uses = Counter(address for arc in found for address in arc)
    assert len(uses) == targets
    assert len(set(uses.values())) == 1


@given(SIZES)
def test_each_balancer_has_enough_and_not_much_more(sizes: tuple[int, int, int]) -> None:
    targets, size, count = sizes
    for arc in arcs(addresses(targets), size, count):
        assert len(set(arc)) == len(arc)
        assert min(size, targets) <= len(arc) < min(size, targets) + targets / count + 1


@given(SIZES, st.integers(0, 2**32))
def test_the_order_does_not_matter(sizes: tuple[int, int, int], seed: int) -> None:
    targets, size, count = sizes
    found = addresses(targets)
    mixed = found.copy()
    Random(seed).shuffle(mixed)
    assert arcs(found, size, count) == arcs(mixed, size, count)


@given(st.integers(100, 400), st.integers(10, 60), st.integers(2, 20), st.data())
def test_one_more_target_moves_few(
    targets: int, size: int, count: int, data: st.DataObject
) -> None:
    more = addresses(targets + 1)
    new = more.pop(data.draw(st.integers(0, targets)))
    if -(-size * count // targets) != -(-size * count // (targets + 1)):
        return  # each target is used by fewer balancers now
    for before, after in zip(arcs(more, size, count), arcs([*more, new], size, count), strict=True):
        assert len(set(before) ^ set(after)) <= 5


@pytest.mark.parametrize(("size", "count"), [(0, 5), (7, 1), (10, 5), (99, 5)])
def test_all_of_them_when_there_is_nothing_to_share_out(size: int, count: int) -> None:
    for arc in arcs(addresses(10), size, count):
        assert sorted(arc) == addresses(10)


async def test_a_fleet_attends_its_own_and_follows_a_reload() -> None:
    names = tuple(f"127.0.0.1:{port}" for port in range(1, 41))
    cluster = ClusterConfig(name="c", targets=(TargetSource(static=names),), subset=10)

    def config(index: int) -> Config:
        return Config(clusters=(cluster,), balancers=Balancers(count=4, index=index))

    seen: list[set[str]] = []
    async with running(config(0)) as fleet:
        for index in range(4):
            if index:
                fleet.configure(config(index))
                await wait_until(lambda: seen[-1].isdisjoint(fleet.registry.members))
            seen.append(set(fleet.registry.members))
    assert [len(members) for members in seen] == [10] * 4
    assert set().union(*seen) == {f"c/{name}" for name in names}
