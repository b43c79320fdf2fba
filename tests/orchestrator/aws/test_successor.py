"""A changed balancer: the new one serves before the old one leaves, whatever happens between."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.settings import Deployment
from tests.orchestrator.aws.account import WHOLE, Account, changed
from tests.orchestrator.aws.fleet import Fleet
from tests.orchestrator.aws.test_interrupted import until_done

ORDER = ("run_instances", "associate_address", "send_command", "terminate_instances")


def other() -> Deployment:
    return changed(**{"access:": "balancer: {type: t3.medium}\naccess:"})


def balancers(account: Account) -> list[str]:
    found = account.aws.call("ec2", "describe_instances")["Reservations"]
    return [
        one["InstanceId"]
        for reservation in found
        for one in reservation["Instances"]
        if one["State"]["Name"] == "running"
        and {"Key": "steelyard:resource", "Value": "balancer"} in one["Tags"]
    ]


def holder(account: Account) -> str:
    (address,) = account.aws.call("ec2", "describe_addresses")["Addresses"]
    return str(address["InstanceId"])


def test_the_new_one_has_the_address_before_the_old_one_is_drained_and_ended(
    account: Account, machines: Fleet
) -> None:
    account.up()
    (old,) = balancers(account)
    account.calls.clear()
    account.deployment = other()
    account.up()
    (new,) = balancers(account)
    assert new != old
    assert holder(account) == new
    assert [ident for ident, script in machines.scripts if "docker stop" in script] == [old]
    done = [call.operation for call in account.calls if call.operation in ORDER]
    first = {name: done.index(name) for name in ORDER if name != "send_command"}
    assert sorted(first, key=lambda name: first[name]) == [n for n in ORDER if n in first]
    assert account.things() == WHOLE
    assert account.up().changes == ()


def test_one_that_does_not_come_up_leaves_the_old_one_serving(
    account: Account, machines: Fleet
) -> None:
    account.up()
    (old,) = balancers(account)
    machines.ready = lambda ident: ident == old
    account.around = replace(account.around, patience=Patience(0.2, 0))
    before, account.deployment = account.deployment, other()
    with pytest.raises(CloudError, match="is not ready"):
        account.up()
    assert holder(account) == old
    assert old in balancers(account)
    account.deployment = before
    account.up()
    assert balancers(account) == [old]
    assert account.things() == WHOLE


def test_one_without_the_old_one_s_targets_does_not_take_over(
    account: Account, machines: Fleet
) -> None:
    account.up()
    account.around = replace(account.around, patience=Patience(0.2, 0))
    (old,) = balancers(account)
    account.deployment = other()
    machines.blind = lambda ident: ident != old
    with pytest.raises(CloudError, match="lacks 3 healthy targets"):
        account.up()
    assert holder(account) == old


def test_killed_at_every_call_it_ends_with_one_balancer_and_its_address(account: Account) -> None:
    account.up()
    account.deployment = other()
    assert until_done(account, account.up) > 8
    (one,) = balancers(account)
    assert holder(account) == one
    assert account.things() == WHOLE
