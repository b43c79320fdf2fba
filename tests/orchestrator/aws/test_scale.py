"""Sizes by hand: more are waited for, fewer are drained first, and who else decides is named."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.members import members
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.scale import scale
from tests.orchestrator.aws.account import Account
from tests.orchestrator.aws.fleet import Fleet
from tests.orchestrator.aws.test_interrupted import until_done


def do(account: Account, **sizes: int) -> None:
    with account.journal as journal:
        scale(account.aws, account.deployment, sizes, journal, account.around)


def size_of(account: Account, cluster: str) -> tuple[int, int]:
    """Desired, and machines that stay."""
    found = members(account.aws, Scope("demo")).clusters
    group = next(g for g in found if g.name == cluster)
    return group.desired, len(group.staying)


def test_out_and_in_again_drains_what_goes(account: Account, machines: Fleet) -> None:
    account.up()
    do(account, cluster2=3)
    assert size_of(account, "cluster2") == (3, 3)
    assert machines.drained == []
    do(account, cluster2=1)
    assert size_of(account, "cluster2") == (1, 1)
    assert len(machines.drained) == 2


def test_killed_at_every_call_it_comes_to_the_same_size(account: Account) -> None:
    account.up()
    assert until_done(account, lambda: do(account, cluster2=3)) > 0
    assert size_of(account, "cluster2") == (3, 3)
    assert until_done(account, lambda: do(account, cluster2=1)) > 2
    assert size_of(account, "cluster2") == (1, 1)


def test_a_policy_that_takes_it_back_is_named_at_once(account: Account, machines: Fleet) -> None:
    account.up()
    undone = False

    def unhealthy_until_undone(_: Any) -> str:
        nonlocal undone
        if not undone:
            undone = True
            group = {"AutoScalingGroupName": "steelyard-demo-cluster2", "DesiredCapacity": 1}
            account.aws.call("autoscaling", "set_desired_capacity", **group)
        return "unknown"

    machines.state = unhealthy_until_undone
    with pytest.raises(CloudError, match=r"something else.*has set it to 1"):
        do(account, cluster2=3)


def test_bounds_are_those_of_the_file(account: Account) -> None:
    account.up()
    with pytest.raises(CloudError, match="max 3 stands in the way"):
        do(account, cluster2=4)
    with pytest.raises(CloudError, match="no such cluster"):
        do(account, cluster9=1)
