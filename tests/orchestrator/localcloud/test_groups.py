"""Groups that move: launches, hooks, replacement, scale-in, and what AWS refuses."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.emulated import emulated
from tests.orchestrator.localcloud.cloud import Cloud, a_cloud, client


def _only(cloud: Cloud) -> str:
    (ident,) = cloud.states()
    return ident


def _activities(cloud: Cloud) -> list[tuple[str, str]]:
    found = cloud.call("autoscaling", "describe_scaling_activities", AutoScalingGroupName="web")
    return [
        (one["Description"].partition(":")[0], one["StatusCode"]) for one in found["Activities"]
    ]


def _complete(cloud: Cloud, ident: str, result: str = "CONTINUE", hook: str = "drain") -> None:
    cloud.call(
        "autoscaling",
        "complete_lifecycle_action",
        AutoScalingGroupName="web",
        LifecycleHookName=hook,
        InstanceId=ident,
        LifecycleActionResult=result,
    )


def test_launches_what_is_desired_and_serves_when_it_runs(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=2)
    assert cloud.states() == {}
    cloud.after(ticks=1)
    assert list(cloud.states().values()) == ["Pending", "Pending"]
    cloud.after()
    assert list(cloud.states().values()) == ["InService", "InService"]
    assert set(cloud.world.notices.lifecycle.values()) == {"InService"}
    assert _activities(cloud) == [("Launching a new EC2 instance", "Successful")] * 2


def test_a_dead_machine_is_replaced(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    dead = _only(cloud)
    cloud.machines.kill(dead)
    cloud.after()
    assert _only(cloud) != dead
    assert _activities(cloud)[:2] == [
        ("Launching a new EC2 instance", "Successful"),
        ("Terminating EC2 instance", "Successful"),
    ]


def test_a_machine_that_the_api_ended_is_replaced(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    ended = _only(cloud)
    cloud.call("ec2", "terminate_instances", InstanceIds=[ended])
    cloud.after()
    assert _only(cloud) != ended


def test_one_that_was_set_unhealthy_is_replaced(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    ill = _only(cloud)
    cloud.call("autoscaling", "set_instance_health", InstanceId=ill, HealthStatus="Unhealthy")
    cloud.after()
    assert _only(cloud) != ill
    assert ill not in cloud.machines.running()


def test_a_launching_hook_holds_until_it_is_completed(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=0)
    cloud.hook("LAUNCHING")
    cloud.desire(1)
    cloud.after()
    assert list(cloud.states().values()) == ["Pending:Wait"]
    _complete(cloud, _only(cloud))
    cloud.after()
    assert list(cloud.states().values()) == ["InService"]


def test_an_abandoned_launch_is_ended_and_repeated(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=0)
    cloud.hook("LAUNCHING")
    cloud.desire(1)
    cloud.after()
    first = _only(cloud)
    _complete(cloud, first, "ABANDON")
    cloud.after()
    assert _only(cloud) != first


def test_a_terminating_hook_keeps_the_machine_until_it_is_completed(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.hook("TERMINATING")
    cloud.after()
    leaving = _only(cloud)
    cloud.desire(0)
    cloud.after(59)
    assert cloud.states() == {leaving: "Terminating:Wait"}
    assert cloud.world.notices.lifecycle == {leaving: "Terminated"}
    assert leaving in cloud.machines.running()
    _complete(cloud, leaving)
    cloud.after()
    assert cloud.states() == {}
    assert cloud.machines.running() == {}
    with pytest.raises(ClientError, match="No active Lifecycle Action found"):
        _complete(cloud, leaving)


def test_a_hook_that_nobody_answers_ends_in_time_and_heartbeats_put_it_off(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.hook("TERMINATING")
    cloud.after()
    leaving = _only(cloud)
    cloud.desire(0)
    cloud.after()
    cloud.after(40)
    cloud.call(
        "autoscaling",
        "record_lifecycle_action_heartbeat",
        AutoScalingGroupName="web",
        LifecycleHookName="drain",
        InstanceId=leaving,
    )
    cloud.after(40)
    assert cloud.states() == {leaving: "Terminating:Wait"}
    cloud.after(20)
    assert cloud.states() == {}


def test_the_replacement_of_one_that_waits_does_not_wait(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.hook("TERMINATING")
    cloud.after()
    leaving = _only(cloud)
    cloud.call(
        "autoscaling",
        "terminate_instance_in_auto_scaling_group",
        InstanceId=leaving,
        ShouldDecrementDesiredCapacity=False,
    )
    cloud.after()
    states = cloud.states()
    assert states.pop(leaving) == "Terminating:Wait"
    assert list(states.values()) == ["InService"]


def test_ending_one_may_shrink_the_group_but_not_below_its_minimum(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=2, MinSize=1)
    cloud.after()
    first, second = cloud.states()

    def end(ident: str) -> Any:
        return cloud.call(
            "autoscaling",
            "terminate_instance_in_auto_scaling_group",
            InstanceId=ident,
            ShouldDecrementDesiredCapacity=True,
        )

    assert end(first)["Activity"]["Description"].endswith(first)
    cloud.after()
    assert _only(cloud) == second
    with pytest.raises(ClientError, match="min size"):
        end(second)


def test_scale_in_spares_the_protected_and_takes_the_oldest(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    first = _only(cloud)
    cloud.after(10)
    cloud.desire(3)
    cloud.after()
    cloud.call(
        "autoscaling",
        "set_instance_protection",
        AutoScalingGroupName="web",
        InstanceIds=[next(one for one in cloud.states() if one != first)],
        ProtectedFromScaleIn=True,
    )
    cloud.desire(2)
    cloud.after()
    assert first not in cloud.states()
    cloud.desire(0)
    cloud.after()
    assert len(cloud.states()) == 1


def test_a_detached_machine_lives_on_alone(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    ident = _only(cloud)
    cloud.call(
        "autoscaling",
        "detach_instances",
        AutoScalingGroupName="web",
        InstanceIds=[ident],
        ShouldDecrementDesiredCapacity=True,
    )
    cloud.after()
    assert cloud.states() == {}
    assert ident in cloud.machines.running()


def test_a_launch_that_is_refused_is_told_and_tried_again_later(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=0)
    cloud.call("ec2", "create_security_group", GroupName="soon", Description="soon")
    (group,) = cloud.call("ec2", "describe_security_groups", GroupNames=["soon"])["SecurityGroups"]
    cloud.call(
        "ec2",
        "create_launch_template_version",
        LaunchTemplateName="web",
        LaunchTemplateData={
            "ImageId": "ami-12c6146b",
            "InstanceType": "t2.micro",
            "SecurityGroupIds": ["sg-12345678"],
        },
    )
    cloud.call("ec2", "modify_launch_template", LaunchTemplateName="web", DefaultVersion="2")
    cloud.desire(1)
    cloud.after()
    assert _activities(cloud) == [("Launching a new EC2 instance", "Failed")]
    cloud.after(31)
    assert _activities(cloud) == [("Launching a new EC2 instance", "Failed")] * 2
    assert group["GroupId"]


def test_a_machine_that_does_not_start_is_replaced(cloud: Cloud) -> None:
    cloud.machines.boots = lambda _ident: len(cloud.machines.born) > 0
    cloud.make_group()
    cloud.after()
    assert cloud.states()
    cloud.machines.boots = lambda _ident: True
    cloud.after()
    assert list(cloud.states().values()) == ["InService"]


@pytest.mark.parametrize(
    ("sizes", "says"),
    [
        ({"MinSize": 4}, "Max bound, 3, must be greater than or equal to min bound, 4"),
        ({"DesiredCapacity": 5}, "Desired capacity:5 must be between"),
        ({"MinSize": 2, "DesiredCapacity": 1}, "Desired capacity:1 must be between"),
    ],
)
def test_sizes_out_of_order_are_refused(cloud: Cloud, sizes: dict[str, Any], says: str) -> None:
    with pytest.raises(ClientError, match=says):
        cloud.make_group(**sizes)
    assert cloud.group() is None
    cloud.make_group("other")
    with pytest.raises(ClientError, match=says):
        cloud.call(
            "autoscaling", "update_auto_scaling_group", AutoScalingGroupName="other", **sizes
        )


def test_desired_outside_of_its_bounds_is_refused(cloud: Cloud) -> None:
    cloud.make_group(MinSize=1)
    with pytest.raises(ClientError, match="above max value 3"):
        cloud.desire(4)
    with pytest.raises(ClientError, match="below min value 1"):
        cloud.desire(0)


def test_a_lower_maximum_lowers_what_is_desired(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=3)
    cloud.call("autoscaling", "update_auto_scaling_group", AutoScalingGroupName="web", MaxSize=1)
    cloud.after()
    assert len(cloud.states()) == 1


def test_a_group_in_use_is_deleted_by_force_only(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.hook("TERMINATING")
    cloud.after()
    with pytest.raises(ClientError, match="ResourceInUse"):
        cloud.call("autoscaling", "delete_auto_scaling_group", AutoScalingGroupName="web")
    cloud.call(
        "autoscaling",
        "delete_auto_scaling_group",
        AutoScalingGroupName="web",
        ForceDelete=True,
    )
    group = cloud.group()
    assert group is not None
    assert group["Status"] == "Delete in progress"
    cloud.after()
    assert cloud.group() is None
    assert cloud.machines.running() == {}


def test_deleting_a_hook_lets_those_go_who_wait_for_it(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.hook("TERMINATING")
    cloud.after()
    cloud.desire(0)
    cloud.after()
    cloud.call(
        "autoscaling",
        "delete_lifecycle_hook",
        AutoScalingGroupName="web",
        LifecycleHookName="drain",
    )
    cloud.after()
    assert cloud.states() == {}


def test_what_is_suspended_does_not_happen(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.call(
        "autoscaling", "suspend_processes", AutoScalingGroupName="web", ScalingProcesses=["Launch"]
    )
    cloud.after()
    assert cloud.states() == {}
    cloud.call("autoscaling", "resume_processes", AutoScalingGroupName="web")
    cloud.after()
    assert list(cloud.states().values()) == ["InService"]


def test_a_member_shows_the_template_that_it_was_launched_from(cloud: Cloud) -> None:
    cloud.make_group()
    cloud.after()
    cloud.call(
        "ec2",
        "create_launch_template_version",
        LaunchTemplateName="web",
        LaunchTemplateData={"ImageId": "ami-12c6146b", "InstanceType": "t2.large"},
    )
    cloud.call("ec2", "modify_launch_template", LaunchTemplateName="web", DefaultVersion="2")
    cloud.desire(2)
    cloud.after()
    group = cloud.group()
    assert group is not None
    shown = {one["LaunchTemplate"]["Version"]: one["InstanceType"] for one in group["Instances"]}
    assert shown == {"1": "t2.micro", "2": "t2.large"}


def test_the_emulator_alone_is_not_remembered_for_the_cloud() -> None:
    """The cloud adds calls that the emulator lacks: what it had before must not be believed."""

    def complete() -> None:
        client("autoscaling").complete_lifecycle_action(
            AutoScalingGroupName="web",
            LifecycleHookName="warm",
            InstanceId="i-1",
            LifecycleActionResult="CONTINUE",
        )

    with emulated(), pytest.raises(NotImplementedError):
        complete()
    with a_cloud(), pytest.raises(ClientError):  # there is no such group, and it says so
        complete()
