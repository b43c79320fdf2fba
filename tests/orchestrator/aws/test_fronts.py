"""Other fronts: an ALB, a network load balancer with several balancers, and both at once."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from orchestrator.deploy.desired.alb import HEALTH, priorities
from orchestrator.deploy.desired.nlb import HEALTH as NLB_HEALTH
from orchestrator.deploy.fronts import fronts, unhealthy_targets
from orchestrator.deploy.members import members
from orchestrator.deploy.ready import wait_ready
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources.target_group import refuse
from orchestrator.deploy.settings import Deployment
from orchestrator.deploy.status import machines_status
from tests.orchestrator.aws.account import WHOLE, Account, changed
from tests.orchestrator.aws.fleet import a_fleet
from tests.orchestrator.aws.test_interrupted import until_done
from tests.orchestrator.aws.test_refusals import Refusing, refusal

SEVERAL = "balancer: {count: 2, deregistration_delay_s: 90}"
FRONTS = {
    "balancer": "",
    "alb": "front: alb",
    "several": SEVERAL,
    "both": f"front: both\n{SEVERAL}",
    "both, one balancer": "front: both",
}
SCOPE = Scope("demo")
CLUSTER2 = "\n  - {name: cluster2, type: t2.large, scale: {min: 0, max: 3, desired: 1}, work_ms: 5}"


def with_front(front: str) -> Deployment:
    return changed(**{"ttl: 4h": f"ttl: 4h\n{FRONTS[front]}"})


def whole(front: str) -> Counter[str]:
    """What there is with each of them."""
    made = Counter(WHOLE)
    if front == "alb":
        made.subtract(("role", "instance profile", "launch template", "address", "instance"))
        made.subtract(("machine", "security group"))
    if front in ("several", "both"):
        made.subtract(("address", "instance"))
        made.update(("security group", "group", "machine"))
        made.update(("target group", "load balancer", "listener"))
    if front not in ("balancer", "several"):
        made.update(("target group", "rule") * 2)
        made.update(("load balancer", "listener", "security group"))
    return +made


def load_balancers(account: Account) -> dict[str, dict[str, Any]]:
    """By name, with listeners in them."""
    found = {}
    for one in account.aws.call("elbv2", "describe_load_balancers")["LoadBalancers"]:
        arn = one["LoadBalancerArn"]
        listeners = account.aws.call("elbv2", "describe_listeners", LoadBalancerArn=arn)
        found[one["LoadBalancerName"]] = one | {"listeners": listeners["Listeners"]}
    return found


def target_groups(account: Account) -> dict[str, dict[str, Any]]:
    """By name, with attributes in them."""
    found = {}
    for one in account.aws.call("elbv2", "describe_target_groups")["TargetGroups"]:
        told = account.aws.call(
            "elbv2", "describe_target_group_attributes", TargetGroupArn=one["TargetGroupArn"]
        )
        attributes = {pair["Key"]: pair["Value"] for pair in told["Attributes"]}
        found[one["TargetGroupName"]] = one | {"attributes": attributes}
    return found


def rules_in(account: Account) -> dict[str, set[tuple[int, str]]]:
    """Of each security group by name: ports and where from, groups by name."""
    groups = account.aws.call("ec2", "describe_security_groups")["SecurityGroups"]
    names = {
        group["GroupId"]: group["GroupName"].removeprefix("steelyard-demo-") for group in groups
    }
    return {
        names[group["GroupId"]]: {
            (rule["FromPort"], source)
            for rule in group["IpPermissions"]
            for source in (
                *(one["CidrIp"] for one in rule["IpRanges"]),
                *(names[pair["GroupId"]] for pair in rule["UserIdGroupPairs"]),
            )
        }
        for group in groups
        if group["GroupName"] != "default"
    }


@pytest.mark.parametrize("front", ["alb", "several", "both, one balancer"])
def test_up_again_and_down(account: Account, front: str) -> None:
    account.deployment = with_front(front)
    account.up()
    assert account.things() == whole(front)
    account.calls.clear()
    assert account.up().changes == ()
    assert all(call.reads for call in account.calls), "again: nothing is changed"
    account.down()
    assert account.things() == {}
    assert load_balancers(account) == {}
    assert target_groups(account) == {}


def test_one_front_after_another(account: Account) -> None:
    """What the last one needed alone is gone."""
    for front in ("balancer", "both", "alb", "several", "balancer"):
        account.deployment = with_front(front)
        account.up()
        assert account.things() == whole(front), front
        assert account.up().changes == ()
        groups = account.aws.call("autoscaling", "describe_auto_scaling_groups")
        attached = {
            g["AutoScalingGroupName"]: g["TargetGroupARNs"] for g in groups["AutoScalingGroups"]
        }
        behind = front not in ("balancer", "several")
        assert len(attached["steelyard-demo-cluster1"]) == behind


def test_interrupted_anywhere_it_is_repeated_and_taken_down(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "ttl: 4h\nfront: alb", CLUSTER2: ""})
    services = ("elbv2",)  # others are no different with another front
    assert until_done(account, account.up, services) > 15
    assert {"target group", "load balancer", "listener", "rule"} <= account.things().keys()
    (one,) = load_balancers(account).values()
    assert len(one["listeners"]) == 1
    assert account.up().changes == ()
    assert until_done(account, account.down, services) > 6
    assert account.things() == {}
    with account.journal as journal:
        assert (journal.standing, journal.unfinished) == ({}, [])


def test_what_is_asked_of_aws(account: Account) -> None:
    account.deployment = with_front("both")
    plan = account.up()
    found, groups = load_balancers(account), target_groups(account)
    alb, nlb = found["steelyard-demo-alb"], found["steelyard-demo-nlb"]
    for one in (alb, nlb):
        zones = [zone["ZoneName"] for zone in one["AvailabilityZones"]]
        assert len(zones) == len(set(zones)) >= 2
    (listener,) = alb["listeners"]
    assert (listener["Port"], listener["Protocol"]) == (80, "HTTP")
    assert listener["DefaultActions"][0]["FixedResponseConfig"]["StatusCode"] == "404"
    rules = account.aws.call("elbv2", "describe_rules", ListenerArn=listener["ListenerArn"])
    told = {
        tuple(rule["Conditions"][0]["PathPatternConfig"]["Values"]): rule["Actions"][0]
        for rule in rules["Rules"]
        if not rule["IsDefault"]
    }
    for name in ("cluster1", "cluster2"):
        behind = groups[f"steelyard-demo-{name}"]
        assert told[f"/{name}", f"/{name}/*"]["TargetGroupArn"] == behind["TargetGroupArn"]
        assert (behind["Port"], behind["HealthCheckPath"]) == (8000, "/readyz")
        assert behind["attributes"]["deregistration_delay.timeout_seconds"] == "30"
        assert behind["attributes"]["load_balancing.algorithm.type"] == "least_outstanding_requests"
    (listener,) = nlb["listeners"]
    assert (listener["Port"], listener["Protocol"], nlb["Type"]) == (80, "TCP", "network")
    behind = groups["steelyard-demo-balancer"]
    assert listener["DefaultActions"][0]["TargetGroupArn"] == behind["TargetGroupArn"]
    assert (behind["Port"], behind["HealthCheckProtocol"], behind["HealthCheckPath"]) == (
        80,
        "HTTP",
        "/",
    )
    assert behind["attributes"]["deregistration_delay.timeout_seconds"] == "90"
    assert behind["attributes"]["deregistration_delay.connection_termination.enabled"] == "true"
    assert behind["attributes"]["preserve_client_ip.enabled"] == "true"
    costs = {str(s.key): s.usd_hour for s in plan.steps if s.key.kind == "load balancer"}
    assert min(costs.values()) >= 0.0225 + 2 * 0.005


@pytest.mark.parametrize(
    ("front", "rules"),
    [
        ("alb", {"alb": {(80, "0.0.0.0/0")}, "workers": {(8000, "alb")}}),
        (
            "both",
            {
                "front": {(80, "0.0.0.0/0")},
                "balancers": {(80, "front"), (9901, "balancers")},
                "alb": {(80, "0.0.0.0/0")},
                "workers": {(8000, "balancers"), (8000, "alb")},
            },
        ),
    ],
)
def test_who_may_speak_to_whom(account: Account, front: str, rules: Any) -> None:
    account.deployment = with_front(front)
    account.up()
    assert rules_in(account) == rules
    assert account.up().changes == ()


def test_ssh_is_never_open_on_a_load_balancer(account: Account) -> None:
    account.aws.call("ec2", "create_key_pair", KeyName="mine")
    ssh = f"ttl: 4h\nssh: {{key_pair: mine}}\n{FRONTS['both']}"
    account.deployment = changed(**{"ttl: 4h": ssh})
    account.up()
    opened = {name for name, rules in rules_in(account).items() if 22 in dict(rules)}
    assert opened == {"balancers", "workers"}


def test_down_waits_for_what_holds_a_security_group(account: Account) -> None:
    """A load balancer's network interfaces outlive it."""
    account.deployment = with_front("alb")
    account.up()
    held = Refusing("delete_security_group", refusal("DependencyViolation"), times=3)
    account.stop = held
    account.down()
    assert held.times == 0
    assert account.things() == {}


def test_security_groups_go_before_those_that_they_name(account: Account) -> None:
    account.deployment = with_front("both")
    account.up()
    groups = account.aws.call("ec2", "describe_security_groups")["SecurityGroups"]
    names = {g["GroupId"]: g["GroupName"].removeprefix("steelyard-demo-") for g in groups}
    account.calls.clear()
    account.down()
    gone = [
        names[c.params["GroupId"]] for c in account.calls if c.operation == "delete_security_group"
    ]
    assert gone.index("workers") < gone.index("balancers") < gone.index("front")
    assert gone.index("workers") < gone.index("alb")


def attributes(**changes: str) -> dict[str, Any]:
    return {
        "protocol": "HTTP",
        "health": dict(HEALTH),
        "attributes": {
            "deregistration_delay.timeout_seconds": "30",
            "load_balancing.algorithm.type": "round_robin",
            **changes,
        },
    }


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"stickyness": "true"}, "no attribute of a HTTP"),
        ({"preserve_client_ip.enabled": "true"}, "no attribute of a HTTP"),
        ({"slow_start.duration_seconds": "5"}, "cannot be 5"),
        ({"slow_start.duration_seconds": "901"}, "cannot be 901"),
        ({"deregistration_delay.timeout_seconds": "3601"}, "cannot be 3601"),
        ({"load_balancing.algorithm.type": "fastest"}, "cannot be fastest"),
        (
            {
                "slow_start.duration_seconds": "30",
                "load_balancing.algorithm.type": "weighted_random",
            },
            "knows no slow start",
        ),
    ],
)
def test_attributes_that_aws_would_refuse(change: dict[str, str], told: str) -> None:
    refuse("x", attributes(**{"slow_start.duration_seconds": "30"}))
    with pytest.raises(CloudError, match=told):
        refuse("x", attributes(**change))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"interval_s": 4}, "interval_s 4 is not from 5 to 300"),
        ({"fall": 1}, "fall 1 is not from 2 to 10"),
        ({"timeout_s": 5}, "below its interval"),
    ],
)
def test_health_checks_that_aws_would_refuse(change: dict[str, int], told: str) -> None:
    refuse("x", {**attributes(), "health": NLB_HEALTH})
    with pytest.raises(CloudError, match=told):
        refuse("x", {**attributes(), "health": {**HEALTH, **change}})


def test_an_alb_in_one_zone_is_refused_by_the_plan(account: Account) -> None:
    (vpc,) = account.aws.call("ec2", "describe_vpcs")["Vpcs"]
    subnets = account.aws.call("ec2", "describe_subnets")["Subnets"]
    zone = subnets[0]["AvailabilityZone"]
    more = account.aws.call(
        "ec2",
        "create_subnet",
        VpcId=vpc["VpcId"],
        CidrBlock="172.31.200.0/24",
        AvailabilityZone=zone,
    )["Subnet"]
    both = f"subnets: [{subnets[0]['SubnetId']}, {more['SubnetId']}]"
    account.deployment = changed(**{"ttl: 4h": f"front: alb\nvpc: {vpc['VpcId']}\n{both}"})
    failing = account.plan().failing
    assert [check.told for check in failing] == ["an ALB needs subnets in two zones"]


def test_two_subnets_of_a_zone_are_not_both_given_to_a_load_balancer(account: Account) -> None:
    (vpc,) = account.aws.call("ec2", "describe_vpcs")["Vpcs"]
    subnets = account.aws.call("ec2", "describe_subnets")["Subnets"]
    zone = subnets[0]["AvailabilityZone"]
    more = account.aws.call(
        "ec2",
        "create_subnet",
        VpcId=vpc["VpcId"],
        CidrBlock="172.31.200.0/24",
        AvailabilityZone=zone,
    )["Subnet"]
    named = ", ".join(one["SubnetId"] for one in (*subnets, more))
    account.deployment = changed(
        **{"ttl: 4h": f"front: alb\nvpc: {vpc['VpcId']}\nsubnets: [{named}]"}
    )
    account.up()
    (one,) = load_balancers(account).values()
    assert len(one["AvailabilityZones"]) == len(subnets)


def test_priorities_stay_when_others_come_and_go() -> None:
    alone = priorities(["cluster2"])
    several = priorities(["cluster1", "cluster2", "a"])
    assert several["cluster2"] == alone["cluster2"]
    assert len(set(several.values())) == 3
    many = priorities(f"c{number}" for number in range(2000))
    assert len(set(many.values())) == 2000
    assert min(many.values()) >= 1
    assert max(many.values()) <= 50_000


def test_up_ends_when_load_balancers_think_so_too(account: Account) -> None:
    account.deployment = with_front("both")
    account.up()
    now = members(account.aws, SCOPE)
    ok = {g.name: {m.ident: "healthy" for m in g.machines} for g in now.groups}
    assert unhealthy_targets(now, ok) == []
    ok["balancer"] = dict.fromkeys(ok["balancer"], "initial")
    assert unhealthy_targets(now, ok) == ["balancer 0 of 2 healthy behind load balancer"]
    asked = list[str]()

    def get(url: str) -> int:
        asked.append(url)
        return 200

    with a_fleet():
        ways = wait_ready(account.aws, SCOPE, get, account.around)
    assert [way.name for way in ways] == ["nlb", "alb"]
    assert {url.rpartition("/")[2] for url in asked} == {"cluster1", "cluster2"}
    assert len(asked) == 4


def test_an_alb_alone_asks_no_balancer(account: Account) -> None:
    account.deployment = with_front("alb")
    account.up()
    with a_fleet() as fleet:
        (way,) = wait_ready(account.aws, SCOPE, lambda _url: 200, account.around)
        told = machines_status(account.aws, SCOPE, account.around.patience)
    assert way.name == "alb"
    assert not any(script.startswith("python3 - ") for _, script in fleet.scripts)
    assert told["balancers"] == ""
    assert {str(one["health"]) for one in told["machines"]} == {"{'alb': 'healthy'}"}


def test_a_load_balancer_that_is_not_active_is_waited_for(account: Account) -> None:
    account.deployment = with_front("alb")
    account.up()
    account.around = replace(account.around, patience=Patience(0, 0))
    ways = [replace(way, state="provisioning") for way in fronts(account.aws, SCOPE)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("orchestrator.deploy.ready.fronts", lambda _aws, _scope: ways)
        with pytest.raises(CloudError, match="is provisioning"):
            wait_ready(account.aws, SCOPE, lambda _url: 200, account.around)
