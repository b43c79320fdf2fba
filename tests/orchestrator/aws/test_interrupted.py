"""A run that is killed at a call is repeated, or taken down: nothing twice, nothing left.

Between two calls that change something the account stays as it is, so these alone are killed at:
before the call went out, and after it took effect but before its answer was read.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from itertools import count
from pathlib import Path

import pytest

from orchestrator.aws.door import Call, Phase
from tests.orchestrator.aws.account import WHOLE, Account, Killed, an_account


def at(number: int, phase: Phase) -> Callable[[Call, Phase], bool]:
    """Stop at the number-th changing call from now (from 0), whichever thread makes it."""
    numbers = count()
    chosen: list[Call] = []

    def stop(call: Call, now: Phase) -> bool:
        if call.reads:
            return False
        if now == "before" and next(numbers) == number:
            chosen.append(call)
        return now == phase and any(call is one for one in chosen)

    return stop


def never(_call: Call, _phase: Phase) -> bool:
    return False


def until_done(
    account: Account, work: Callable[[], object], services: Container[str] | None = None
) -> int:
    """Repeat `work`, killed at each of its changing calls once before it and once after it.

    `services`: at calls to these alone.
    """
    killed_at: set[tuple[str, Phase]] = set()

    def stop(call: Call, phase: Phase) -> bool:
        params = {k: v for k, v in call.params.items() if k != "ClientToken"}  # of a change: fresh
        mark = (f"{call} {params}", phase)
        other = services is not None and call.service not in services
        if call.reads or other or mark in killed_at:
            return False
        killed_at.add(mark)
        return True

    account.stop = stop
    while True:
        try:
            work()
        except Killed:
            continue
        account.stop = never
        return len(killed_at)


def assert_complete(account: Account) -> None:
    """Every thing has what the calls after its creation add to it."""
    call = account.aws.call
    for group in call("ec2", "describe_security_groups")["SecurityGroups"]:
        assert group["IpPermissions"] or group["GroupName"] == "default"
    for name in ("worker", "balancer"):
        full = f"steelyard-demo-{name}-eu-west-1"
        assert call("iam", "list_role_policies", RoleName=full)["PolicyNames"]
        profile = call("iam", "get_instance_profile", InstanceProfileName=full)
        assert len(profile["InstanceProfile"]["Roles"]) == 1
    (address,) = call("ec2", "describe_addresses")["Addresses"]
    assert address["InstanceId"]
    assert len(call("autoscaling", "describe_policies")["ScalingPolicies"]) == 1
    ends = call("autoscaling", "describe_scheduled_actions")["ScheduledUpdateGroupActions"]
    assert len(ends) == 2


def test_up_killed_at_every_call_comes_to_the_same_end(account: Account) -> None:
    assert until_done(account, account.up) > 40
    assert account.things() == WHOLE
    assert_complete(account)
    assert account.up().changes == ()
    account.down()
    assert account.things() == {}


def test_down_killed_at_every_call_leaves_nothing(account: Account) -> None:
    account.up()
    assert until_done(account, account.down) > 30
    assert account.things() == {}
    with account.journal as journal:
        assert (journal.standing, journal.unfinished) == ({}, [])


def test_up_killed_anywhere_can_be_taken_down(tmp_path: Path) -> None:
    with an_account(tmp_path) as account:
        for number in range(1, 100, 4):  # every one takes half a minute; the rest is between them
            account.stop = at(number, "after")
            try:
                account.up()
            except Killed:
                account.stop = never
                account.down()
                assert account.things() == {}, f"killed after call {number}"
                continue
            break
        else:
            pytest.fail("up never ends")
        assert number > 20
