"""What is asked of AWS, where an emulator would take anything."""

from __future__ import annotations

import base64
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.aws.errors import CloudError
from orchestrator.deploy.boot import MAX_BYTES, Boot, balancer_config, render
from orchestrator.deploy.host import host_files
from services.balancer.settings import parse
from tests.orchestrator.aws.account import Account, changed


def template(account: Account, name: str) -> dict[str, Any]:
    versions = account.aws.call(
        "ec2", "describe_launch_template_versions", LaunchTemplateName=f"steelyard-demo-{name}"
    )["LaunchTemplateVersions"]
    data: dict[str, Any] = versions[-1]["LaunchTemplateData"]
    return data


def test_machines(account: Account) -> None:
    account.up()
    data = template(account, "cluster1")
    assert data["MetadataOptions"]["HttpTokens"] == "required"
    assert data["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
    disk = data["BlockDeviceMappings"][0]["Ebs"]
    assert (disk["Encrypted"], disk["VolumeType"]) == (True, "gp3")
    assert data["InstanceInitiatedShutdownBehavior"] == "terminate"
    assert data["Monitoring"]["Enabled"]
    tagged = {spec["ResourceType"]: spec["Tags"] for spec in data["TagSpecifications"]}
    for kind in ("instance", "volume"):
        tags = {tag["Key"]: tag["Value"] for tag in tagged[kind]}
        assert tags["steelyard:deployment"] == "demo"
        assert tags["steelyard:cluster"] == "cluster1"
    script = base64.b64decode(data["UserData"]).decode()
    assert "CLUSTER_NAME=cluster1" in script
    assert "/steelyard-worker@sha256:" in script
    assert "END_AFTER_MIN=240" in script


def test_spot_machines_are_asked_for_once_each(account: Account) -> None:
    account.deployment = changed(**{"count: 2": "count: 2, spot: true"})
    account.up()
    market = template(account, "cluster1")["InstanceMarketOptions"]
    assert market["MarketType"] == "spot"
    assert market["SpotOptions"]["SpotInstanceType"] == "one-time"
    assert "InstanceMarketOptions" not in template(account, "cluster2")
    assert account.up().changes == ()


def test_only_the_balancer_reaches_the_workers(account: Account) -> None:
    account.up()
    found = account.aws.call("ec2", "describe_security_groups")["SecurityGroups"]
    groups = {group["GroupName"]: group for group in found}
    front, workers = groups["steelyard-demo-front"], groups["steelyard-demo-workers"]
    (rule,) = workers["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (8000, 8000, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == [front["GroupId"]]
    (rule,) = front["IpPermissions"]
    assert (rule["FromPort"], rule["IpRanges"][0]["CidrIp"]) == (80, "0.0.0.0/0")


def test_ssh_is_open_to_the_caller_alone(account: Account) -> None:
    account.aws.call("ec2", "create_key_pair", KeyName="mine")
    account.deployment = changed(**{"ttl: 4h": "ssh: {key_pair: mine}"})
    account.up()
    assert template(account, "cluster1")["KeyName"] == "mine"
    groups = account.aws.call("ec2", "describe_security_groups")["SecurityGroups"]
    opened = [
        rule["IpRanges"]
        for group in groups
        for rule in group["IpPermissions"]
        if rule.get("FromPort") == 22
    ]
    assert [[r["CidrIp"] for r in ranges] for ranges in opened] == [["203.0.113.7/32"]] * 2


def test_the_balancer_s_file() -> None:
    config = yaml.safe_load(balancer_config(changed()))
    assert [cluster["name"] for cluster in config["clusters"]] == ["cluster1", "cluster2"]
    source = config["clusters"][0]["targets"][0]["ec2"]
    assert source["port"] == 8000
    assert source["tags"] == {"steelyard:deployment": "demo", "steelyard:cluster": "cluster1"}
    assert config["routes"][0] == {"path": "/cluster1", "cluster": "cluster1"}


def test_the_balancer_takes_its_file() -> None:
    text = balancer_config(changed()).encode()
    config = parse(text, {"AWS_REGION": "eu-west-1"}, file="balancer.yaml", folder=Path("/"))
    assert [
        cluster.targets[0].ec2.region for cluster in config.clusters if cluster.targets[0].ec2
    ] == [
        "eu-west-1",
        "eu-west-1",
    ]


def boot(text: str) -> Boot:
    return Boot(
        region="eu-west-1",
        image="1.dkr.ecr.eu-west-1.amazonaws.com/x@sha256:0",
        log_group="/steelyard/demo",
        environment={"A": "it's"},
        publish=("80:8000",),
        files={"balancer.yaml": text},
        host=host_files(role="worker", region="eu-west-1", group="steelyard-demo-cluster1"),
        end_after_s=None,
    )


def test_user_data_over_16_kib_is_refused() -> None:
    render(boot("x" * (MAX_BYTES // 4)))
    with pytest.raises(CloudError, match="EC2 takes 16384"):
        render(boot("x" * MAX_BYTES))


def test_user_data_is_sound_shell(tmp_path: Path) -> None:
    script = tmp_path / "user-data"
    script.write_text(render(boot("a: 'b'\n")))
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert done.stdout == ""
