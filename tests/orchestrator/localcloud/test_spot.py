"""Spot interruptions, from the door to the replacement."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.localcloud.doors import opened
from orchestrator.localcloud.metadata import tree_of
from tests.orchestrator.localcloud.cloud import BEGUN, Cloud


def _spot_group(cloud: Cloud) -> str:
    cloud.make_group(DesiredCapacity=0)
    cloud.call(
        "ec2",
        "create_launch_template_version",
        LaunchTemplateName="web",
        LaunchTemplateData={
            "ImageId": "ami-12c6146b",
            "InstanceType": "t2.micro",
            "InstanceMarketOptions": {"MarketType": "spot"},
        },
    )
    cloud.call("ec2", "modify_launch_template", LaunchTemplateName="web", DefaultVersion="2")
    cloud.desire(1)
    cloud.after()
    (ident,) = cloud.states()
    return ident


def _post(cloud: Cloud, ident: str, method: str = "POST") -> tuple[str, dict[str, Any]]:
    said: list[str] = []
    app = opened(cloud.world, lambda _environ, _start: [b'{"passed": "on"}'])
    environ = {"REQUEST_METHOD": method, "PATH_INFO": f"/steelyard-cloud/interrupt/{ident}"}
    body = b"".join(app(environ, lambda status, _headers: said.append(status)))
    return said[0], json.loads(body)


def test_a_notice_then_two_minutes_then_the_end_and_another(cloud: Cloud) -> None:
    ident = _spot_group(cloud)
    assert _post(cloud, ident) == ("200 OK", {"time": "2025-10-09T08:55:20Z"})
    address = cloud.machines.running()[ident]
    tree = tree_of(cloud.world, address)
    assert tree is not None
    assert json.loads(tree["meta-data"]["spot"]["instance-action"]) == {
        "action": "terminate",
        "time": "2025-10-09T08:55:20Z",
    }
    cloud.after(119)
    assert list(cloud.states()) == [ident]
    assert _post(cloud, ident)[1]["time"] == "2025-10-09T08:55:20Z"
    cloud.after(2, ticks=4)
    assert ident not in cloud.machines.running()
    assert list(cloud.states().values()) == ["InService"]
    assert cloud.world.notices.spot == {}


def test_on_a_faster_clock_the_notice_is_as_much_shorter(cloud: Cloud) -> None:
    ident = _spot_group(cloud)
    cloud.world.clock.scale = 20
    assert _post(cloud, ident)[1]["time"] == "2025-10-09T08:53:26Z"
    assert cloud.wall_s == BEGUN
    cloud.after(7)
    assert ident not in cloud.states()


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_is_not_spot_is_not_taken_back(cloud: Cloud, method: str) -> None:
    cloud.make_group()
    cloud.after()
    (ident,) = cloud.states()
    status, body = _post(cloud, ident, method)
    assert status == "404 Not Found"
    assert "on demand" in body["error"] or method == "GET"
    assert "no instance" in _post(cloud, "i-0")[1]["error"]
    assert cloud.world.notices.spot == {}
