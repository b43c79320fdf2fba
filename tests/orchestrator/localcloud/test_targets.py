"""Target health: checks, thresholds, draining, and what a group does with it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from orchestrator.localcloud.targets import Check, _matches, after_answer, check_targets
from tests.orchestrator.localcloud.cloud import Cloud


@pytest.mark.parametrize(
    ("state", "answers", "after"),
    [
        ("initial", [True], "healthy"),
        ("initial", [False], "initial"),
        ("initial", [False, False], "unhealthy"),
        ("healthy", [False, True, False], "healthy"),
        ("healthy", [False, False], "unhealthy"),
        ("unhealthy", [True, True], "unhealthy"),
        ("unhealthy", [True, True, True], "healthy"),
    ],
)
def test_answers_in_a_row_make_the_state(state: str, answers: list[bool], after: str) -> None:
    check = Check(80, state)
    for good in answers:
        after_answer(check, good, 3, 2)
    assert check.state == after


def test_codes_that_match() -> None:
    assert _matches(204, "200-299")
    assert _matches(301, "200,301")
    assert not _matches(302, "200-299,301")


class Front:
    """A load balancer whose targets answer as `answers` says."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.answers = cloud, True
        subnets = cloud.call("ec2", "describe_subnets")["Subnets"]
        self.arn = self._made(
            "create_target_group",
            "TargetGroups",
            "TargetGroupArn",
            Name="web",
            Protocol="HTTP",
            Port=8000,
            VpcId=subnets[0]["VpcId"],
            HealthCheckPath="/readyz",
            HealthCheckIntervalSeconds=10,
            UnhealthyThresholdCount=2,
        )
        balancer = self._made(
            "create_load_balancer",
            "LoadBalancers",
            "LoadBalancerArn",
            Name="front",
            Subnets=[one["SubnetId"] for one in subnets[:2]],
        )
        self._made(
            "create_listener",
            "Listeners",
            "ListenerArn",
            LoadBalancerArn=balancer,
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": self.arn}],
        )
        probe = partial(check_targets, probe=lambda *_: self.answers)
        cloud.steps = (*(s for s in cloud.steps if s is not check_targets), probe)

    def _made(self, operation: str, things: str, key: str, **given: Any) -> str:
        return str(self.cloud.call("elbv2", operation, **given)[things][0][key])

    def health(self) -> dict[str, str]:
        told = self.cloud.call("elbv2", "describe_target_health", TargetGroupArn=self.arn)
        return {
            one["Target"]["Id"]: one["TargetHealth"]["State"]
            for one in told["TargetHealthDescriptions"]
        }


def test_a_target_is_healthy_when_it_answers_and_drains_when_it_leaves(cloud: Cloud) -> None:
    front = Front(cloud)
    front.answers = False
    cloud.make_group(TargetGroupARNs=[front.arn])
    cloud.after()
    (ident,) = cloud.states()
    assert front.health() == {ident: "initial"}
    front.answers = True
    cloud.after(10)
    assert front.health() == {ident: "healthy"}
    cloud.desire(0)
    cloud.after()
    assert front.health() == {ident: "draining"}
    assert cloud.states() == {ident: "Terminating"}
    cloud.after(301)
    assert cloud.states() == {}
    assert front.health() == {}


def test_a_group_that_asks_its_load_balancer_replaces_the_unhealthy(cloud: Cloud) -> None:
    front = Front(cloud)
    cloud.make_group(TargetGroupARNs=[front.arn], HealthCheckType="ELB", HealthCheckGracePeriod=100)
    cloud.after()
    (ident,) = cloud.states()
    front.answers = False
    for _ in range(3):
        cloud.after(20)
    assert front.health() == {ident: "unhealthy"}
    assert cloud.states() == {ident: "InService"}  # within the grace period
    cloud.after(50)
    assert cloud.states()[ident] == "Terminating"
    assert len(cloud.states()) == 2
