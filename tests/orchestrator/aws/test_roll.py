"""A new version of machines: never below capacity, back again when it is not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws.door import Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.commands.change import batch_of
from orchestrator.deploy.members import Group, members
from orchestrator.deploy.replace import RollHaltedError, Speed, size
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.roll import roll, roll_back
from services.contract import IMAGE_WORKER, TAG_TEMPLATE
from tests.orchestrator.aws.account import Account, Killed, put_image
from tests.orchestrator.aws.fleet import Fleet, a_fleet
from tests.orchestrator.aws.test_interrupted import at, never, until_done

BOTH = ("cluster1", "cluster2")


@pytest.fixture
def fleet(account: Account) -> Iterator[Fleet]:
    with a_fleet() as made:
        account.up()
        put_image(IMAGE_WORKER, "second", seconds_later=60)
        yield made


def do_roll(account: Account, **speed: Any) -> int:
    with account.journal as journal:
        return roll(
            account.aws,
            account.plan(),
            BOTH,
            Speed(**{"warm_s": 0, **speed}),
            journal=journal,
            around=account.around,
        )


def go_back(account: Account) -> int:
    with account.journal as journal:
        return roll_back(account.aws, "demo", Speed(warm_s=0), journal, account.around)


def groups(account: Account) -> tuple[Group, ...]:
    return members(account.aws, Scope("demo")).clusters


def state(account: Account) -> list[tuple[int, int, int, int, tuple[str, ...], str]]:
    """Everything a roll touches, but for the versions."""
    return [(g.min, g.max, g.desired, len(g.staying), g.suspended, g.roll) for g in groups(account)]


def specs(account: Account) -> dict[str, set[str]]:
    return {g.name: {m.template for m in g.staying} for g in groups(account)}


def sealed(account: Account) -> dict[str, set[str]]:
    found = BY_NAME["launch template"].find(account.aws, Scope("demo"))
    return {one.key.name: {one.spec} for one in found if one.key.name in BOTH}


def test_every_machine_is_replaced_and_the_groups_are_as_before(
    account: Account, fleet: Fleet
) -> None:
    before, old = state(account), specs(account)
    idents = {m.ident for g in groups(account) for m in g.machines}
    fleet.capacity.clear()
    assert do_roll(account) == 3
    assert state(account) == before
    assert specs(account) == sealed(account)
    assert all(specs(account)[name].isdisjoint(old[name]) for name in BOTH)
    assert not idents & {m.ident for g in groups(account) for m in g.staying}
    assert min(fleet.capacity) >= 2, "capacity of cluster1 was below its desired size"
    assert len(fleet.drained) == 3
    assert do_roll(account) == 0
    assert account.up().changes == ()


def test_an_old_machine_ends_only_after_it_was_drained(account: Account, fleet: Fleet) -> None:
    (first, *_) = [m for g in groups(account) for m in g.staying]
    fleet.pending[first.ident] = [3] * 40
    ended: list[int] = []

    def watch(call: Call, phase: Phase) -> bool:
        if call.operation.startswith("terminate") and call.params["InstanceId"] == first.ident:
            ended.append(len(fleet.pending[first.ident]))
        return False

    account.stop = watch
    do_roll(account)
    assert ended[0] == 0


def test_a_version_that_never_gets_healthy_is_taken_back(account: Account, fleet: Fleet) -> None:
    before, old = state(account), specs(account)
    olds = {m.ident for g in groups(account) for m in g.staying}
    fleet.state = lambda one: "healthy" if one.id in olds else "unhealthy"
    account.around = _impatient(account)
    with pytest.raises(RollHaltedError, match="not warm yet"):
        do_roll(account)
    assert (state(account), specs(account), sealed(account)) == (before, old, old)
    assert olds == {m.ident for g in groups(account) for m in g.staying}


def test_errors_of_the_new_machines_halt_it(account: Account, fleet: Fleet) -> None:
    old = specs(account)
    fleet.counts = lambda one: (1000, 0) if _is(one, old) else (100, 5)
    with pytest.raises(RollHaltedError, match=r"new machines of cluster1: 5\.0% of 100 failed"):
        do_roll(account)
    assert specs(account) == sealed(account) == old


def test_errors_that_were_there_before_do_not(account: Account, fleet: Fleet) -> None:
    old = specs(account)
    fleet.counts = lambda one: (100, 50) if _is(one, old) else (100, 0)
    assert do_roll(account) == 3


def test_a_boot_that_fails_halts_it_with_what_it_told(account: Account, fleet: Fleet) -> None:
    old = specs(account)
    fleet.state = lambda one: "healthy" if _is(one, old) else "unknown"

    def fail(_call: Call, _phase: Phase) -> bool:
        new = [i for i, m in fleet.machines().items() if _cluster(m) and not _is(m, old)]
        fleet.boots.update(dict.fromkeys(new, "docker pull failed"))
        return False

    account.stop = fail
    with pytest.raises(RollHaltedError, match="docker pull failed"):
        do_roll(account)
    assert specs(account) == old


@pytest.mark.parametrize("batch", [1, 0.5, 5])
def test_batches(account: Account, fleet: Fleet, batch: float) -> None:
    before = state(account)
    assert do_roll(account, batch=batch) == 3
    assert state(account) == before


@pytest.mark.timeout(300)
def test_killed_at_every_call_it_comes_to_the_same_end(account: Account, fleet: Fleet) -> None:
    before = state(account)
    fleet.capacity.clear()
    assert until_done(account, lambda: do_roll(account)) > 20
    assert state(account) == before
    assert specs(account) == sealed(account)
    assert min(fleet.capacity) >= 2
    assert account.up().changes == ()


@pytest.mark.timeout(300)
def test_killed_anywhere_it_can_be_taken_back(account: Account, fleet: Fleet) -> None:
    before, old = state(account), specs(account)
    stopped = 0
    for number in range(0, 200, 5):
        account.stop = at(number, "after")
        try:
            do_roll(account)
        except Killed:
            account.stop = never
            stopped += 1
            if any(group.roll for group in groups(account)):
                go_back(account)
            assert state(account) == before, f"killed after call {number}"
            if specs(account) != old:  # the last group's note was away: the roll was over
                assert specs(account) == sealed(account)
                break
            continue
        break
    assert stopped > 3


def test_nothing_to_take_back_is_said(account: Account, fleet: Fleet) -> None:
    with pytest.raises(CloudError, match="no roll is under way"):
        go_back(account)


def test_a_plan_with_more_in_it_is_not_rolled(account: Account, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="the plan has more: create"):
        do_roll(account)


def test_sizes() -> None:
    assert size(good=0, old=4, desired=4, batch=1) == 5
    assert size(good=1, old=4, desired=4, batch=1) == 5, "the same once it has grown"
    assert size(good=1, old=3, desired=4, batch=1) == 5
    assert size(good=4, old=1, desired=4, batch=1) == 5, "nothing more to come"
    assert size(good=4, old=2, desired=4, batch=2) == 6
    assert size(good=0, old=2, desired=2, batch=5) == 4


def _is(instance: Any, old: dict[str, set[str]]) -> bool:
    tags = {t["key"]: t["value"] for t in instance.get_tags()}
    return any(tags.get(TAG_TEMPLATE) in specs for specs in old.values())


def _cluster(instance: Any) -> bool:
    return any(t["key"] == "steelyard:cluster" for t in instance.get_tags())


def _impatient(account: Account) -> Any:
    return replace(account.around, patience=Patience(1, 0))


@pytest.mark.parametrize(
    ("said", "of", "machines"),
    [("1", 4, 1), ("3", 4, 3), ("25%", 4, 1), ("50%", 4, 2), ("100%", 4, 4), ("30%", 3, 1)],
)
def test_a_batch_is_what_was_said(said: str, of: int, machines: int) -> None:
    assert Speed(batch=batch_of(said)).machines(of) == machines
