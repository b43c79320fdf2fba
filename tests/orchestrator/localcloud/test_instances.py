"""Instances are born as machines and end with them; what they are told; how they are reached."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from orchestrator.localcloud.commands import MAX_OUTPUT
from orchestrator.localcloud.imds import look_up
from orchestrator.localcloud.metadata import tree_of
from orchestrator.localcloud.world import Birth, Ran
from tests.orchestrator.localcloud.cloud import ELASTIC, Cloud

USER_DATA = "#!/bin/bash\necho hello\n"


def _launch(cloud: Cloud, **changes: Any) -> str:
    answer = cloud.call(
        "ec2",
        "run_instances",
        **{
            "ImageId": "ami-12c6146b",
            "InstanceType": "t3.micro",
            "MinCount": 1,
            "MaxCount": 1,
            "UserData": USER_DATA,
            **changes,
        },
    )
    (instance,) = answer["Instances"]
    return str(instance["InstanceId"])


def _shown(cloud: Cloud, ident: str) -> dict[str, Any]:
    answer = cloud.call("ec2", "describe_instances", InstanceIds=[ident])
    instance: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return instance


def _state(cloud: Cloud, ident: str) -> str:
    return str(_shown(cloud, ident)["State"]["Name"])


def test_is_pending_until_its_machine_runs(cloud: Cloud) -> None:
    ident = _launch(cloud)
    assert _state(cloud, ident) == "pending"
    cloud.after()
    assert _state(cloud, ident) == "running"
    assert _shown(cloud, ident)["PrivateIpAddress"] == cloud.machines.running()[ident]


def test_the_same_token_makes_one_machine(cloud: Cloud) -> None:
    assert _launch(cloud, ClientToken="once") == _launch(cloud, ClientToken="once")
    assert len(cloud.machines.born) == 1


def test_a_machine_that_cannot_start_is_terminated_and_says_why(cloud: Cloud) -> None:
    cloud.machines.boots = lambda _ident: False
    ident = _launch(cloud)
    cloud.after()
    assert _state(cloud, ident) == "terminated"
    assert _shown(cloud, ident)["StateReason"]["Code"] == "Server.InternalError"
    assert cloud.told == [f"{ident}: no room"]


@pytest.mark.parametrize("ticks", [0, 2], ids=["before it was seen to run", "later"])
def test_a_machine_that_ends_by_itself_is_terminated(cloud: Cloud, ticks: int) -> None:
    ident = _launch(cloud)
    cloud.after(ticks=ticks)
    cloud.machines.kill(ident)
    cloud.after(ticks=1)
    assert _state(cloud, ident) == "terminated"
    assert _shown(cloud, ident)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"


def test_terminate_ends_the_machine(cloud: Cloud) -> None:
    ident = _launch(cloud)
    cloud.after()
    cloud.call("ec2", "terminate_instances", InstanceIds=[ident])
    assert _state(cloud, ident) == "shutting-down"
    cloud.after()
    assert _state(cloud, ident) == "terminated"
    assert cloud.machines.running() == {}


def test_terminated_while_it_starts_leaves_no_machine(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end is asked for before there is anything to end."""
    starting, go_on, start = threading.Event(), threading.Event(), cloud.machines.start

    def slow(birth: Birth) -> str:
        starting.set()
        assert go_on.wait(10)
        return start(birth)

    monkeypatch.setattr(cloud.machines, "start", slow)
    with ThreadPoolExecutor(2) as cloud.world.pool:
        ident = _launch(cloud)
        assert starting.wait(10)
        cloud.call("ec2", "terminate_instances", InstanceIds=[ident])
        cloud.after()
        assert _state(cloud, ident) == "shutting-down"
        go_on.set()
    cloud.after()
    assert len(cloud.machines.born) == 1
    assert cloud.machines.running() == {}
    assert _state(cloud, ident) == "terminated"


def test_metadata_of_who_asks(cloud: Cloud) -> None:
    ident = _launch(cloud)
    address = cloud.machines.running()[ident]  # a boot asks before the instance is running
    tree = tree_of(cloud.world, address)
    assert tree is not None
    assert look_up(tree, "/latest/meta-data/instance-id") == ident
    assert look_up(tree, "/latest/meta-data/local-ipv4") == address
    assert look_up(tree, "/latest/meta-data/placement/region") == cloud.world.region
    assert look_up(tree, "/latest/user-data") == USER_DATA
    identity = json.loads(look_up(tree, "/latest/dynamic/instance-identity/document") or "")
    assert (identity["instanceId"], identity["instanceType"]) == (ident, "t3.micro")
    assert look_up(tree, "/latest/meta-data/iam/security-credentials/") is None
    assert tree_of(cloud.world, "10.0.0.200") is None


def test_notices_reach_the_metadata(cloud: Cloud) -> None:
    ident = _launch(cloud)
    address = cloud.machines.running()[ident]
    fate = "/latest/meta-data/autoscaling/target-lifecycle-state"
    spot = "/latest/meta-data/spot/instance-action"

    def told(path: str) -> str | None:
        tree = tree_of(cloud.world, address)
        assert tree is not None
        return look_up(tree, path)

    assert (told(fate), told(spot)) == ("InService", None)
    cloud.world.notices.lifecycle[ident] = "Terminated"
    notice = {"action": "terminate", "time": "2026-01-01T00:02:00Z"}
    cloud.world.notices.spot[ident] = notice
    assert told(fate) == "Terminated"
    assert json.loads(told(spot) or "") == notice


def test_the_role_has_credentials(cloud: Cloud) -> None:
    cloud.call("iam", "create_role", RoleName="worker", AssumeRolePolicyDocument="{}")
    cloud.call("iam", "create_instance_profile", InstanceProfileName="worker")
    cloud.call(
        "iam", "add_role_to_instance_profile", InstanceProfileName="worker", RoleName="worker"
    )
    ident = _launch(cloud, IamInstanceProfile={"Name": "worker"})
    tree = tree_of(cloud.world, cloud.machines.running()[ident])
    assert tree is not None
    assert look_up(tree, "/latest/meta-data/iam/security-credentials/") == "worker"
    given = json.loads(look_up(tree, "/latest/meta-data/iam/security-credentials/worker") or "")
    assert given["Code"] == "Success"


def test_a_command_runs_on_its_machine(cloud: Cloud) -> None:
    ident = _launch(cloud)
    cloud.after()
    (known,) = cloud.call("ssm", "describe_instance_information")["InstanceInformationList"]
    assert (known["InstanceId"], known["PingStatus"]) == (ident, "Online")
    cloud.machines.ran = Ran(3, "x" * (MAX_OUTPUT + 1), "no")
    sent = cloud.call(
        "ssm",
        "send_command",
        DocumentName="AWS-RunShellScript",
        InstanceIds=[ident],
        Parameters={"commands": ["cd /", "ls"]},
    )
    answer = cloud.call(
        "ssm",
        "get_command_invocation",
        CommandId=sent["Command"]["CommandId"],
        InstanceId=ident,
    )
    assert cloud.machines.scripts == [(ident, "cd /\nls")]
    assert (answer["Status"], answer["ResponseCode"]) == ("Failed", 3)
    assert len(answer["StandardOutputContent"]) == MAX_OUTPUT
    assert answer["StandardErrorContent"] == "no"


def test_no_command_for_a_machine_that_is_gone(cloud: Cloud) -> None:
    with pytest.raises(ClientError, match="InvalidInstanceId"):
        cloud.call(
            "ssm",
            "send_command",
            DocumentName="AWS-RunShellScript",
            InstanceIds=["i-00000000000000000"],
            Parameters={"commands": ["ls"]},
        )


def test_the_console_is_the_machines(cloud: Cloud) -> None:
    ident = _launch(cloud)
    cloud.machines.consoles[ident] = "steelyard-boot: failed at line 7"
    answer = cloud.call("ec2", "get_console_output", InstanceId=ident)
    assert answer["Output"] == "steelyard-boot: failed at line 7"


def test_an_elastic_address_moves_with_its_association(cloud: Cloud) -> None:
    first, second = _launch(cloud), _launch(cloud)
    cloud.after()
    made = cloud.call("ec2", "allocate_address", Domain="vpc")
    address, allocation = made["PublicIp"], made["AllocationId"]
    assert address in {str(one) for one in ELASTIC.hosts()}
    for ident in (first, second):
        cloud.call(
            "ec2",
            "associate_address",
            AllocationId=allocation,
            InstanceId=ident,
            AllowReassociation=True,
        )
        assert cloud.machines.given == {address: ident}
    (known,) = cloud.call("ec2", "describe_addresses")["Addresses"]
    cloud.call("ec2", "disassociate_address", AssociationId=known["AssociationId"])
    assert cloud.machines.given == {}
    cloud.call("ec2", "release_address", AllocationId=allocation)
