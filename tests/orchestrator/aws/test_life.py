"""Plan, up, up again, change, down: what exists afterwards."""

from __future__ import annotations

from tests.orchestrator.aws.account import WHOLE, Account, changed


def test_up_again_and_down(account: Account) -> None:
    plan = account.plan()
    assert {step.action for step in plan.steps} == {"create"}
    assert account.things() == {}, "a plan changes nothing"
    assert all(call.reads for call in account.calls)

    account.up()
    assert account.things() == WHOLE

    account.calls.clear()
    assert account.up().changes == ()
    assert all(call.reads for call in account.calls), "again: nothing is changed"

    account.down()
    assert account.things() == {}
    assert account.down() == 0


def test_a_changed_cluster_changes_its_template_and_nothing_else(account: Account) -> None:
    account.up()
    account.deployment = changed(**{"work_ms: 5": "work_ms: 9"})
    changes = account.up().changes
    assert [(step.action, str(step.key)) for step in changes] == [
        ("change", "launch template cluster2")
    ]
    assert account.up().changes == ()
    assert account.things() == WHOLE


def test_another_cluster_replaces_the_balancer_that_must_know_it(account: Account) -> None:
    account.up()
    account.deployment = changed(**{"name: cluster2": "name: cluster3"})
    done = {(step.action, str(step.key)) for step in account.up().changes}
    assert done == {
        ("create", "launch template cluster3"),
        ("create", "group cluster3"),
        ("change", "launch template balancer"),
        ("replace", "instance balancer"),
        ("change", "dashboard overview"),
        ("delete", "group cluster2"),
        ("delete", "launch template cluster2"),
    }
    assert account.up().changes == ()
    assert account.things() == WHOLE


def test_the_size_that_scaling_chose_stays(account: Account) -> None:
    account.up()
    group = {"AutoScalingGroupName": "steelyard-demo-cluster2", "DesiredCapacity": 3}
    account.aws.call("autoscaling", "set_desired_capacity", **group)
    account.deployment = changed(**{"min: 0, max: 3": "min: 1, max: 5"})
    account.up()
    (found,) = account.aws.call(
        "autoscaling",
        "describe_auto_scaling_groups",
        AutoScalingGroupNames=["steelyard-demo-cluster2"],
    )["AutoScalingGroups"]
    assert (found["MinSize"], found["DesiredCapacity"], found["MaxSize"]) == (1, 3, 5)


def test_what_was_deleted_by_hand_is_made_again_with_what_hangs_on_it(account: Account) -> None:
    account.up()
    (address,) = account.aws.call("ec2", "describe_addresses")["Addresses"]
    account.aws.call("ec2", "disassociate_address", AssociationId=address["AssociationId"])
    account.aws.call("ec2", "release_address", AllocationId=address["AllocationId"])
    done = [(step.action, str(step.key)) for step in account.up().changes]
    assert done == [("create", "address front"), ("replace", "instance balancer")]
    assert account.things() == WHOLE


def test_the_calls_do_not_grow_with_the_machines(account: Account) -> None:
    account.deployment = changed(**{"count: 2": "count: 20"})
    account.up()
    many = len(account.calls)
    account.down()
    account.calls.clear()
    account.deployment = changed()
    account.up()
    assert many == len(account.calls)
