"""Balancers behind their load balancer become others without a gap, or stay what they are."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import Any

import pytest
from moto.autoscaling.models import AutoScalingBackend
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus

from orchestrator.aws.door import Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.balancers import Target, View
from orchestrator.deploy.fronts import target_healths
from orchestrator.deploy.members import Group, members
from orchestrator.deploy.replace import RollHaltedError, Speed
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources import BY_NAME
from orchestrator.deploy.roll import refresh_balancers, roll, roll_back, roll_balancers
from orchestrator.deploy.scale import scale
from orchestrator.deploy.successor import unfit
from services.contract import IMAGE_BALANCER, IMAGE_WORKER
from tests.orchestrator.aws.account import Account, Killed, changed, put_image
from tests.orchestrator.aws.fleet import Fleet
from tests.orchestrator.aws.test_interrupted import at, never, until_done

SCOPE = Scope("demo")
SCALED = "\n  - {name: cluster2, type: t2.large, scale: {min: 0, max: 3, desired: 1}, work_ms: 5}"
SEVERAL = {"count: 2}": "count: 1}", "ttl: 4h": "ttl: 4h\nbalancer: {count: 2}"}
ONE_CLUSTER = {**SEVERAL, SCALED: ""}
FAST = Speed(warm_s=0, notice_s=0)
ANOTHER = "\n  - {name: cluster3, type: t2.micro, count: 1}"
ORDER = (
    "register_targets",
    "deregister_targets",
    "send_command",
    "terminate_instance_in_auto_scaling_group",
)


@pytest.fixture
def fleet(account: Account, machines: Fleet, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    plain = AutoScalingBackend.update_attached_target_groups

    def unless_suspended(self: Any, group_name: str) -> None:
        """The emulator hands machines over although it was told not to."""
        held = self.autoscaling_groups[group_name].suspended_processes
        if not any(one["ProcessName"] == "AddToLoadBalancer" for one in held):
            plain(self, group_name)

    monkeypatch.setattr(AutoScalingBackend, "update_attached_target_groups", unless_suspended)
    account.around = dataclasses.replace(account.around, patience=Patience(60, 0))  # a busy machine
    account.deployment = changed(**ONE_CLUSTER)
    account.up()
    put_image(IMAGE_BALANCER, "second", seconds_later=60)
    return machines


def do_roll(account: Account, speed: Speed = FAST) -> int:
    with account.journal as journal:
        plan = account.plan()
        return roll_balancers(account.aws, plan, speed, journal=journal, around=account.around)


def up(account: Account) -> int:
    """What the command does but for the wait at its end."""
    plan = account.up()
    with account.journal as journal:
        return refresh_balancers(account.aws, plan, FAST, journal=journal, around=account.around)


def go_back(account: Account) -> int:
    with account.journal as journal:
        return roll_back(account.aws, "demo", FAST, journal, account.around)


def group(account: Account) -> Group:
    (found,) = [g for g in members(account.aws, SCOPE).groups if g.name == "balancer"]
    return found


def state(account: Account) -> tuple[object, ...]:
    """Everything a roll touches, but for the version."""
    g = group(account)
    return (g.min, g.max, g.desired, len(g.staying), g.suspended, g.roll)


def idents(account: Account) -> set[str]:
    return {one.ident for one in group(account).staying}


def specs(account: Account) -> set[str]:
    return {one.template for one in group(account).staying}


def sealed(account: Account) -> set[str]:
    found = BY_NAME["launch template"].find(account.aws, SCOPE)
    return {one.spec for one in found if one.key.name == "balancer"}


def behind(account: Account) -> set[str]:
    return set(target_healths(account.aws, SCOPE)["balancer"])


def watched(account: Account, least: list[int]) -> None:
    """Note after each change how many running balancers their load balancer has."""
    inner = account.stop

    def stop(call: Call, phase: Phase) -> bool:
        if phase == "after" and not call.reads:
            account.stop = never
            least.append(len(behind(account) & idents(account)))
            account.stop = stop
        return inner(call, phase)

    account.stop = stop


def test_each_is_replaced_after_another_serves(account: Account, fleet: Fleet) -> None:
    before, old = state(account), idents(account)
    least: list[int] = []
    watched(account, least)
    account.calls.clear()
    assert do_roll(account) == 2
    assert state(account) == before
    assert not old & idents(account)
    assert specs(account) == sealed(account)
    assert behind(account) == idents(account)
    assert min(least) == 2, "fewer than two were behind their load balancer"
    stopped = [ident for ident, script in fleet.scripts if "docker stop" in script]
    assert set(stopped) == old
    done = [call for call in account.calls if call.operation in ORDER]
    told = [c.operation for c in done if "docker stop" in str(c.params) or c.service != "ssm"]
    assert told == list(ORDER) * 2, "made, then no new connections, drained, ended"
    assert up(account) == 0
    assert account.up().changes == ()


def test_up_brings_a_new_cluster_to_the_balancers_that_run(account: Account, fleet: Fleet) -> None:
    old = idents(account)
    fleet.without = {ident: {"cluster3"} for ident in old}
    account.deployment = changed(**{**SEVERAL, SCALED: ANOTHER})
    assert up(account) == 2
    assert not old & idents(account)
    account.calls.clear()
    assert up(account) == 0
    assert all(call.reads for call in account.calls)


def test_one_that_its_load_balancer_finds_ill_is_taken_back(
    account: Account, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, old, version = state(account), idents(account), sealed(account)
    plain = ELBv2Backend.describe_target_health

    def ill(self: Any, arn: str, targets: Any) -> list[FakeHealthStatus]:
        told = plain(self, arn, targets)
        for one in told:
            if one.instance_id not in old:
                one.status = "unhealthy"
        return told

    monkeypatch.setattr(ELBv2Backend, "describe_target_health", ill)
    impatient(account, 5)  # it has to be registered within
    with pytest.raises(RollHaltedError, match="is unhealthy behind its load balancer"):
        do_roll(account)
    assert (state(account), idents(account), sealed(account)) == (before, old, version)


def test_errors_of_the_new_balancers_halt_it(account: Account, fleet: Fleet) -> None:
    before, version, old = state(account), sealed(account), idents(account)
    looks = Counter[str]()

    def counted(balancer: str) -> tuple[int, int]:
        looks[balancer] += 1
        number = 50 * looks[balancer]
        return (number, 0) if balancer in old else (number, number // 10)

    fleet.seen_by = counted
    with pytest.raises(RollHaltedError, match=r"new machines of balancer: 10\.0% of \d+ failed"):
        do_roll(account)
    assert specs(account) == sealed(account) == version
    assert state(account) == before


@pytest.mark.timeout(300)
def test_killed_at_every_call_it_comes_to_the_same_end(account: Account, fleet: Fleet) -> None:
    before, old = state(account), idents(account)
    plan = account.up()  # the template's change is killed at elsewhere

    def work() -> int:
        with account.journal as journal:
            around = account.around
            return refresh_balancers(account.aws, plan, FAST, journal=journal, around=around)

    assert until_done(account, work) > 20
    assert state(account) == before
    assert not old & idents(account)
    assert behind(account) == idents(account)
    assert account.up().changes == ()


@pytest.mark.timeout(300)
def test_killed_anywhere_it_is_taken_back_or_down(account: Account, fleet: Fleet) -> None:
    before, version = state(account), sealed(account)
    stopped = 0
    for number in range(3, 60, 8):
        account.stop = at(number, "after")
        try:
            do_roll(account)
        except Killed:
            account.stop = never
            stopped += 1
            if group(account).roll:
                go_back(account)
                assert (specs(account), sealed(account)) == (version, version), number
            assert state(account) == before, f"killed after call {number}"
            assert behind(account) == idents(account)
            continue
        break
    assert stopped > 1
    account.stop = at(4, "after")
    put_image(IMAGE_BALANCER, "third", seconds_later=120)
    with pytest.raises(Killed):
        do_roll(account)
    account.stop = never
    account.down()
    assert account.things() == {}


def test_one_that_was_stopped_and_shall_stay_is_started_again(
    account: Account, fleet: Fleet
) -> None:
    old = idents(account)

    def before_its_end(call: Call, phase: Phase) -> bool:
        return phase == "before" and call.operation == ORDER[-1]

    account.stop = before_its_end
    with pytest.raises(Killed):
        do_roll(account)
    account.stop = never
    (stopped,) = [ident for ident, script in fleet.scripts if "docker stop" in script]
    assert stopped in old
    with pytest.raises(CloudError, match="the balancers' roll is not over"):
        roll_workers(account)
    fleet.scripts.clear()
    go_back(account)
    started = [ident for ident, script in fleet.scripts if "docker start" in script]
    assert stopped in started
    assert idents(account) == behind(account) == old


def test_one_behind_an_address_is_succeeded(account: Account, machines: Fleet) -> None:
    account.up()
    (before,) = members(account.aws, SCOPE).balancers
    put_image(IMAGE_BALANCER, "second", seconds_later=60)
    put_image(IMAGE_WORKER, "second", seconds_later=60)
    assert do_roll(account) == 1
    (after,) = members(account.aws, SCOPE).balancers
    assert before.ident != after.ident
    assert [i for i, script in machines.scripts if "docker stop" in script] == [before.ident]
    left = {str(step.key) for step in account.plan().changes}
    assert left == {"launch template cluster1", "launch template cluster2"}, "workers stay"
    assert do_roll(account) == 0


def test_without_a_balancer_there_is_none_to_roll(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "front: alb"})
    with pytest.raises(CloudError, match="no balancer runs"):
        do_roll(account)


def test_workers_beside_an_alb_are_waited_for_there_too(
    account: Account, machines: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    account.deployment = changed(**{"ttl: 4h": "front: both"})
    account.up()
    old = {m.ident for m in members(account.aws, SCOPE).machines}
    put_image(IMAGE_WORKER, "second", seconds_later=60)
    plain = ELBv2Backend.describe_target_health

    def starting(self: Any, arn: str, targets: Any) -> list[FakeHealthStatus]:
        told = plain(self, arn, targets)
        for one in told:
            if one.instance_id not in old:
                one.status = "initial"
        return told

    monkeypatch.setattr(ELBv2Backend, "describe_target_health", starting)
    impatient(account)
    with pytest.raises(RollHaltedError, match="is initial behind its load balancer"):
        roll_workers(account)
    assert {m.ident for m in members(account.aws, SCOPE).machines} == old


def roll_workers(account: Account, *names: str) -> int:
    with account.journal as journal:
        plan = account.plan()
        wanted = names or ("cluster1", "cluster2")
        return roll(account.aws, plan, wanted, FAST, journal=journal, around=account.around)


def impatient(account: Account, deadline_s: float = 1) -> Patience:
    """What it was before."""
    before = account.around.patience
    account.around = dataclasses.replace(account.around, patience=Patience(deadline_s, 0.1))
    return before


def test_what_a_new_balancer_must_know() -> None:
    def seen(*targets: str, ready: bool = True, clusters: tuple[str, ...] = ("a", "b")) -> View:
        known = [Target(t[0], t, None, "", "healthy", 0, 0, 0, 0.0) for t in targets]
        return View(ready=ready, targets=tuple(known), clusters=clusters)

    views = {"old": seen("a1", "b1"), "older": seen("a2"), "new": seen("a1", "a2")}
    assert unfit(views, "new", ["old", "older"]) == "balancer new lacks 1 healthy targets"
    assert unfit(views, "new", ["older", "gone"]) == ""
    assert unfit({**views, "new": seen("a1", clusters=("a",))}, "new", ["old"]) == "", "b has gone"
    assert unfit({**views, "new": seen("a1", "b1", ready=False)}, "new", ["old"]) != ""


def test_behind_an_alb_alone_workers_are_rolled_and_scaled(
    account: Account, machines: Fleet
) -> None:
    account.deployment = changed(**{"ttl: 4h": "front: alb", SCALED: ""})
    account.up()
    old = {m.ident for m in members(account.aws, SCOPE).machines}
    put_image(IMAGE_WORKER, "second", seconds_later=60)
    assert roll_workers(account, "cluster1") == 2
    new = {m.ident for m in members(account.aws, SCOPE).machines}
    assert not old & new
    assert new <= set(target_healths(account.aws, SCOPE)["cluster1"])
    with account.journal as journal:
        scale(account.aws, account.deployment, {"cluster1": 1}, journal, account.around)
    (left,) = members(account.aws, SCOPE).machines
    assert left.ident in new
    assert not any(script.startswith("python3 - ") for _, script in machines.scripts)
