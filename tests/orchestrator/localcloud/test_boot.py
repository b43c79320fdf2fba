"""One machine, for real: cloud-init, metadata, a command, an address, and nothing left of it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from orchestrator.aws.door import Aws
from orchestrator.aws.wait import Patience, wait_until
from orchestrator.engine import connected
from orchestrator.localcloud.attach import attach, stop
from orchestrator.localcloud.containers import OWNER, name_of

pytestmark = [
    pytest.mark.docker,
    pytest.mark.timeout(300),  # the first one may have to build the image
    # The cloud's process is meant to outlive the command, here the test, that started it.
    pytest.mark.filterwarnings("ignore:subprocess [0-9]+ is still running:ResourceWarning"),
]

PATIENCE = Patience(deadline_s=120, pause_s=0.2)
USER_DATA = """#!/bin/bash
token=$(curl -sSf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' \\
  http://169.254.169.254/latest/api/token)
curl -sSf -H "X-aws-ec2-metadata-token: $token" \\
  http://169.254.169.254/latest/meta-data/instance-id >/run/told
curl -s -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/ >/run/untold
echo "steelyard-test: booted" >/dev/console
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[docker.DockerClient]:
    with connected() as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def aws(folder: Path) -> Iterator[Aws]:
    known = attach(folder, None, lambda _: None, lambda _: None)
    try:
        yield Aws(known.region, endpoint=known.endpoint)
    finally:
        stop(folder, lambda _: None)


def _until(look: Callable[[], bool], what: str) -> None:
    wait_until("boot", lambda: "" if look() else what, lambda _: None, PATIENCE)


def _shown(aws: Aws, ident: str) -> dict[str, Any]:
    answer = aws.call("ec2", "describe_instances", InstanceIds=[ident])
    instance: dict[str, Any] = answer["Reservations"][0]["Instances"][0]
    return instance


def _is(aws: Aws, ident: str, state: str) -> Callable[[], bool]:
    return lambda: bool(_shown(aws, ident)["State"]["Name"] == state)


def _run(aws: Aws, ident: str, script: str) -> dict[str, Any]:
    sent = aws.call(
        "ssm",
        "send_command",
        DocumentName="AWS-RunShellScript",
        InstanceIds=[ident],
        Parameters={"commands": [script]},
    )
    found: list[dict[str, Any]] = []

    def done() -> bool:
        found[:] = [
            aws.call(
                "ssm",
                "get_command_invocation",
                CommandId=sent["Command"]["CommandId"],
                InstanceId=ident,
            )
        ]
        return bool(found[0]["Status"] != "InProgress")

    _until(done, f"{script!r} does not end")
    return found[0]


def _containers(engine: docker.DockerClient, folder: Path) -> list[str]:
    mine: dict[str, str | list[str] | bool] = {"label": f"{OWNER}={name_of(folder)}"}
    return [
        str(one.name) for one in engine.containers.list(all=True, filters=mine, ignore_removed=True)
    ]


def _boot(aws: Aws) -> str:
    answer = aws.call(
        "ec2",
        "run_instances",
        ImageId="ami-12c6146b",
        InstanceType="t3.micro",
        MinCount=1,
        MaxCount=1,
        UserData=USER_DATA,
    )
    ident = str(answer["Instances"][0]["InstanceId"])
    _until(_is(aws, ident, "running"), "it does not run")
    _until(
        lambda: _run(aws, ident, "test -s /run/untold")["Status"] == "Success",
        "its user data does not run",
    )
    return ident


def test_a_machine_boots_and_goes(aws: Aws, engine: docker.DockerClient, folder: Path) -> None:
    ident = _boot(aws)
    assert _run(aws, ident, "cat /run/told")["StandardOutputContent"] == ident
    assert _run(aws, ident, "cat /run/untold")["StandardOutputContent"] == "401"
    waits = _run(aws, ident, "shutdown -h +30 && systemctl is-active shutdown-later.timer")
    assert waits["StandardOutputContent"] == "active\n"
    failed = _run(aws, ident, "echo no >&2; exit 3")
    assert (failed["Status"], failed["ResponseCode"]) == ("Failed", 3)
    assert failed["StandardErrorContent"] == "no\n"

    def on_the_console() -> bool:
        answer = aws.call("ec2", "get_console_output", InstanceId=ident)
        return "steelyard-test: booted" in answer["Output"]

    _until(on_the_console, "its console does not tell of it")

    made = aws.call("ec2", "allocate_address", Domain="vpc")
    aws.call("ec2", "associate_address", AllocationId=made["AllocationId"], InstanceId=ident)
    _run(aws, ident, "nohup python3 -m http.server 8080 >/dev/null 2>&1 &")

    def answers() -> bool:
        with socket.socket() as client:
            client.settimeout(1)
            return client.connect_ex((made["PublicIp"], 8080)) == 0

    _until(answers, f"{made['PublicIp']} does not answer")

    aws.call("ec2", "terminate_instances", InstanceIds=[ident])
    _until(_is(aws, ident, "terminated"), "it does not end")
    assert ident not in _containers(engine, folder)


def test_what_ends_by_itself_is_terminated(
    aws: Aws, engine: docker.DockerClient, folder: Path
) -> None:
    ident = _boot(aws)
    _run(aws, ident, "systemctl --no-block poweroff")
    _until(_is(aws, ident, "terminated"), "the API does not see its end")
    _until(lambda: ident not in _containers(engine, folder), "its container stays")


def test_two_clouds_leave_each_other_alone(
    aws: Aws, engine: docker.DockerClient, folder: Path, tmp_path: Path
) -> None:
    """And one that was told to end leaves nothing, machines included."""
    before = _containers(engine, folder)
    other = attach(tmp_path, None, lambda _: None, lambda _: None)
    try:
        _boot(Aws(other.region, endpoint=other.endpoint))
    finally:
        assert stop(tmp_path, lambda _: None)
    _until(lambda: _containers(engine, tmp_path) == [], "something stays")
    assert _containers(engine, folder) == before
    assert aws.call("sts", "get_caller_identity")["Account"]
