"""CPU metrics, target tracking and scheduled actions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.localcloud.scaling import IN_AFTER_S, IN_BELOW, OUT_AFTER_S, decide
from tests.orchestrator.localcloud.cloud import BEGUN, Cloud

PERCENT = st.floats(0.01, 100)
LOADS = st.lists(st.tuples(PERCENT, st.floats(1, 600)), max_size=40)


@given(LOADS, st.floats(1, 100), st.integers(0, 9), st.integers(0, 9), st.data())
def test_a_decision_keeps_bounds_and_reasons(
    loads: list[tuple[float, float]], target: float, warm: int, desired: int, data: Any
) -> None:
    smallest = data.draw(st.integers(0, desired))
    largest = data.draw(st.integers(desired, 12))
    wanted = decide(loads, target=target, warm=warm, desired=desired, bounds=(smallest, largest))
    assert smallest <= wanted <= largest
    if wanted > desired:
        assert loads[-1][0] > target
    if wanted < desired:
        assert loads[-1][0] < IN_BELOW * target
        assert wanted >= 1


@given(st.floats(1, 99), st.integers(1, 9))
def test_a_load_at_the_target_changes_nothing(target: float, warm: int) -> None:
    loads = [(target, 60.0)] * 30
    assert decide(loads, target=target, warm=warm, desired=warm, bounds=(0, 20)) == warm


@given(PERCENT, st.floats(1, 100), st.integers(1, 9), st.booleans())
def test_what_lasts_too_short_changes_nothing(
    percent: float, target: float, warm: int, after_middle: bool
) -> None:
    wait_s = OUT_AFTER_S if percent > target else IN_AFTER_S
    loads = [(target, 3600.0)] * after_middle + [(percent, wait_s - 1)]
    assert decide(loads, target=target, warm=warm, desired=warm, bounds=(0, 20)) == warm


def test_capacity_follows_the_ratio_of_load_and_target() -> None:
    out = decide([(90.0, 60.0)] * 3, target=50, warm=2, desired=2, bounds=(0, 9))
    assert out == 4  # 2 x 90 / 50, rounded up
    back = decide([(10.0, 60.0)] * 15, target=50, warm=4, desired=4, bounds=(0, 9))
    assert back == 1


def _track(cloud: Cloud, group: str = "web", warm_up_s: int = 120, target: float = 50) -> None:
    cloud.call(
        "autoscaling",
        "put_scaling_policy",
        AutoScalingGroupName=group,
        PolicyName="cpu",
        PolicyType="TargetTrackingScaling",
        EstimatedInstanceWarmup=warm_up_s,
        TargetTrackingConfiguration={
            "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            "TargetValue": target,
        },
    )


def _minutes(cloud: Cloud, count: int, share: float) -> None:
    """Every machine uses this share of its one vCPU."""
    for _ in range(count):
        for ident in cloud.machines.cpu:
            cloud.machines.cpu[ident] += 60 * share
        cloud.after(60)


def test_scales_out_over_the_target_and_in_under_it(cloud: Cloud) -> None:
    cloud.make_group()
    _track(cloud)
    cloud.after()
    _minutes(cloud, 4, 0.9)
    assert len(cloud.states()) == 1  # two minutes of warm-up, and two over it
    _minutes(cloud, 1, 0.9)
    assert len(cloud.states()) == 2
    _minutes(cloud, 6, 0.9)
    assert len(cloud.states()) == 3  # and no more: that is the maximum
    _minutes(cloud, 10, 0.9)
    assert len(cloud.states()) == 3
    _minutes(cloud, 14, 0.05)
    assert len(cloud.states()) == 3
    _minutes(cloud, 1, 0.05)
    assert len(cloud.states()) == 1
    causes = [
        one["Cause"]
        for one in cloud.call("autoscaling", "describe_scaling_activities")["Activities"]
    ]
    assert "AlarmLow in state ALARM triggered policy cpu" in causes[0]


def test_an_instance_that_warms_up_does_not_count(cloud: Cloud) -> None:
    cloud.make_group()
    _track(cloud, warm_up_s=600)
    cloud.after()
    _minutes(cloud, 10, 1.0)
    assert len(cloud.states()) == 1


def test_two_groups_may_name_their_policies_alike(cloud: Cloud) -> None:
    for name in ("web", "other"):
        cloud.make_group(name)
        _track(cloud, name)
    found = cloud.call("autoscaling", "describe_policies")["ScalingPolicies"]
    assert {one["AutoScalingGroupName"] for one in found} == {"web", "other"}
    cloud.call("autoscaling", "delete_policy", AutoScalingGroupName="web", PolicyName="cpu")
    found = cloud.call("autoscaling", "describe_policies")["ScalingPolicies"]
    assert [one["AutoScalingGroupName"] for one in found] == ["other"]
    with pytest.raises(ClientError, match="PolicyName not found"):
        cloud.call("autoscaling", "delete_policy", AutoScalingGroupName="web", PolicyName="cpu")


def test_cpu_can_be_read_by_instance_and_by_group(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=2)
    cloud.after()
    first, second = cloud.states()
    cloud.after(60)
    cloud.machines.cpu[first] += 30
    cloud.machines.cpu[second] += 600
    cloud.after(60)

    def read(name: str, value: str, stat: str) -> float:
        (point,) = cloud.call(
            "cloudwatch",
            "get_metric_statistics",
            Namespace="AWS/EC2",
            MetricName="CPUUtilization",
            Dimensions=[{"Name": name, "Value": value}],
            StartTime=datetime.fromtimestamp(BEGUN + 100, UTC),
            EndTime=datetime.fromtimestamp(BEGUN + 200, UTC),
            Period=60,
            Statistics=[stat],
        )["Datapoints"]
        return float(point[stat])

    assert read("InstanceId", first, "Average") == pytest.approx(50)
    assert read("InstanceId", second, "Average") == 100  # a t2.micro has no more
    assert read("AutoScalingGroupName", "web", "Average") == pytest.approx(75)
    assert read("AutoScalingGroupName", "web", "Maximum") == 100


def test_a_scheduled_action_sets_the_group_in_time(cloud: Cloud) -> None:
    cloud.make_group(DesiredCapacity=2)
    cloud.after()
    cloud.world.clock.scale = 60
    cloud.after(1000)  # the cloud's own clock is hours ahead
    cloud.call(
        "autoscaling",
        "put_scheduled_update_group_action",
        AutoScalingGroupName="web",
        ScheduledActionName="end",
        StartTime=datetime.fromtimestamp(cloud.wall_s + 3600, UTC),
        MinSize=0,
        MaxSize=0,
        DesiredCapacity=0,
    )
    cloud.after()
    cloud.after(59)
    assert len(cloud.states()) == 2
    cloud.after(2)
    assert cloud.states() == {}
    left = cloud.call("autoscaling", "describe_scheduled_actions")
    assert left["ScheduledUpdateGroupActions"] == []
