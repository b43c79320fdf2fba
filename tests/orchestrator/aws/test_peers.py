"""Balancers of a group on AWS: who tells whom what they have pending."""

from __future__ import annotations

import base64
from pathlib import Path

from services.balancer import settings
from tests.orchestrator.aws.account import Account
from tests.orchestrator.aws.test_fronts import rules_in, with_front


def test_balancers_of_a_group_tell_each_other(account: Account) -> None:
    account.deployment = with_front("several")
    account.up()
    groups = account.aws.call("ec2", "describe_security_groups")["SecurityGroups"]
    (own,) = (group for group in groups if group["GroupName"] == "steelyard-demo-balancers")
    (rule,) = (rule for rule in own["IpPermissions"] if rule["IpProtocol"] == "udp")
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (9901, 9901, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [own["GroupId"]]
    versions = account.aws.call(
        "ec2",
        "describe_launch_template_versions",
        LaunchTemplateName="steelyard-demo-balancer",
        Versions=["$Latest"],
    )
    (version,) = versions["LaunchTemplateVersions"]
    user_data = base64.b64decode(version["LaunchTemplateData"]["UserData"]).decode()
    assert "--publish 9901:9901/udp" in user_data
    text = user_data.partition("balancer.yaml <<")[2].partition("\n")[2]
    text = text.partition("--- end of file")[0]
    env = {"AWS_REGION": "eu-west-1"}
    config = settings.parse(text.encode(), env, file="balancer.yaml", folder=Path("/"))
    assert config.balancers.listen == "0.0.0.0:9901"
    (source,) = config.balancers.peers
    assert source.ec2 is not None
    assert (source.ec2.group, source.ec2.port) == ("steelyard-demo-balancer", 9901)


def test_a_single_balancer_has_nobody_to_tell(account: Account) -> None:
    account.up()
    assert 9901 not in {port for rules in rules_in(account).values() for port, _ in rules}
