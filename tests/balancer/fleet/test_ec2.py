"""Discovery on EC2, against moto: tags, groups, lifecycle states, pages, throttling."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from threading import Thread
from typing import Any

import boto3
import pytest
from moto.autoscaling.models import autoscaling_backends

from services.balancer.address import Address
from services.balancer.config import Ec2Source, TargetSource
from services.balancer.fleet.discover import DiscoveryError, Found, Regions, Watch, build_all
from services.balancer.fleet.discover.ec2 import Api, Ec2, filters, wanted_tags
from services.balancer.fleet.discover.region import Instance, Region, Tags
from services.balancer.fleet.discover.weighed import Weighed
from services.balancer.fleet.registry import LEAVING, Registry
from services.balancer.fleet.slots import Slots
from services.balancer.ledger import Ledger
from services.balancer.messages import Health
from services.contract import TAG_WEIGHT
from tests.balancer.fleet.conditions import wait_until
from tests.emulated import ANY_IMAGE, emulated

REGION = "eu-west-1"
CLUSTER = "steelyard:cluster"
ACCOUNT = "123456789012"  # moto's
IMAGE = ANY_IMAGE


@pytest.fixture(autouse=True)
def _no_real_account(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)


@pytest.fixture
def cloud() -> Iterator[Any]:
    """EC2 of an emulated account."""
    with emulated():
        yield boto3.client("ec2", REGION)


def launch(cloud: Any, cluster: str, count: int = 1) -> list[dict[str, Any]]:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": CLUSTER, "Value": cluster}]}]
    instances: list[dict[str, Any]] = cloud.run_instances(
        ImageId=IMAGE, MinCount=count, MaxCount=count, TagSpecifications=tags
    )["Instances"]
    return instances


def group(name: str, size: int) -> list[Any]:
    """A group; its instances' states, to be changed in place."""
    autoscaling = boto3.client("autoscaling", REGION)
    autoscaling.create_launch_configuration(
        LaunchConfigurationName=name, ImageId=IMAGE, InstanceType="t2.micro"
    )
    autoscaling.create_auto_scaling_group(
        AutoScalingGroupName=name,
        LaunchConfigurationName=name,
        MinSize=size,
        MaxSize=size,
        AvailabilityZones=[f"{REGION}a"],
        Tags=[{"Key": CLUSTER, "Value": name, "PropagateAtLaunch": True}],
    )
    groups = autoscaling_backends[ACCOUNT][REGION].autoscaling_groups
    states: list[Any] = groups[name].instance_states
    return states


def source(api: Any = None, **wanted: Any) -> Ec2:
    config = Ec2Source(port=8000, region=REGION, **wanted)
    region = Region(api or Api(REGION), rng=Random(1))
    region.want([wanted_tags(config)])
    return Ec2(config, region)


def idents(found: Found) -> set[str]:
    return set(found.instances.values())


async def test_instances_are_found_by_their_tags(cloud: Any) -> None:
    wanted = launch(cloud, "cluster1", 2)
    launch(cloud, "cluster2")
    found = await source(tags={CLUSTER: "cluster1"}).look()
    assert found.instances == {
        Address(instance["PrivateIpAddress"], 8000): instance["InstanceId"] for instance in wanted
    }
    assert found.addresses == set(found.instances)
    assert (found.trusted, found.note) == (True, None)
    cloud.stop_instances(InstanceIds=[wanted[0]["InstanceId"]])
    found = await source(tags={CLUSTER: "cluster1"}).look()
    assert idents(found) == {wanted[1]["InstanceId"]}


async def test_public_addresses_on_request(cloud: Any) -> None:
    (instance,) = launch(cloud, "cluster1")
    found = await source(tags={CLUSTER: "cluster1"}, address="public").look()
    (address,) = found.addresses
    assert address.host != instance["PrivateIpAddress"]
    assert idents(found) == {instance["InstanceId"]}


async def test_pages_are_read_to_the_last(cloud: Any) -> None:
    for _ in range(3):
        launch(cloud, "cluster1", 5)
    found = await source(Api(REGION, page=5), tags={CLUSTER: "cluster1"}).look()
    assert len(found.addresses) == 15


async def test_a_group_s_instances_are_in_while_in_service(cloud: Any) -> None:
    states = group("cluster1", 6)
    group("other", 1)
    launch(cloud, "cluster1")  # in no group
    everyone = await source(group="cluster1").look()
    assert idents(everyone) == {state.instance.id for state in states}
    for state, now in zip(
        states,
        ("Terminating:Wait", "Standby", "Detaching", "Pending:Wait", "Warmed:Running"),
        strict=False,
    ):
        state.lifecycle_state = now
    assert idents(await source(group="cluster1").look()) == {states[5].instance.id}
    both = await source(tags={CLUSTER: "cluster1"}).look()
    assert len(both.addresses) == 2  # the one in service, and the one of no group
    none = await source(tags={CLUSTER: "cluster2"}, group="cluster1").look()
    assert none == Found(frozenset(), trusted=False, note="no running instance matches")


async def test_clusters_of_a_region_share_its_calls() -> None:
    asked: list[Any] = []

    def ask(wants: Any) -> list[Instance]:
        asked.append(wants)
        return [
            Instance(f"i-{n}", f"10.0.0.{n}", None, {CLUSTER: f"c{n}"}, None) for n in range(1, 4)
        ]

    region = Region(ask, rng=Random(1))
    configs = [Ec2Source(port=1, region=REGION, tags={CLUSTER: f"c{n}"}) for n in range(1, 4)]
    region.want(config.tags for config in configs)
    found = await asyncio.gather(*(Ec2(config, region).look() for config in configs))
    assert [idents(one) for one in found] == [{"i-1"}, {"i-2"}, {"i-3"}]
    assert len(asked) == 1


def test_filters_lose_nothing() -> None:
    running = {"Name": "instance-state-name", "Values": ["running"]}
    assert filters(({"a": "1", "b": "1"}, {"a": "2"}, {"a": "1"})) == [
        running,
        {"Name": "tag:a", "Values": ["1", "2"]},
    ]
    assert filters(({"a": "1"}, {"b": "1"})) == [running]
    many = tuple({"a": str(n), "b": "x"} for n in range(201))
    assert filters(many) == [running, {"Name": "tag:b", "Values": ["x"]}]


def test_regions_are_shared_and_asked_for_all_that_is_wanted() -> None:
    regions = Regions(Random(1))
    entries = [
        TargetSource(ec2=Ec2Source(port=1, region=REGION, tags={"a": "1"})),
        TargetSource(ec2=Ec2Source(port=1, region=REGION, group="g")),
        TargetSource(static=("10.0.0.1:1",)),
    ]
    regions.want(entries)
    names = set(build_all(entries, regions))
    assert names == {
        f"ec2 {REGION} a=1:1",
        f"ec2 {REGION} aws:autoscaling:groupName=g:1",
        "static",
    }
    assert regions.region(REGION) is regions.region(REGION)


class Throttle(BaseHTTPRequestHandler):
    """An endpoint that has had enough."""

    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        self.rfile.read(int(self.headers["content-length"]))
        body = (
            b"<Response><Errors><Error><Code>RequestLimitExceeded</Code>"
            b"<Message>Request limit exceeded.</Message></Error></Errors></Response>"
        )
        self.send_response(503)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def throttled(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Throttle]]:
    """AWS_ENDPOINT_URL names an endpoint that throttles."""
    monkeypatch.setattr(Throttle, "asked", 0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Throttle) as server:
        Thread(target=server.serve_forever).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield Throttle
        server.shutdown()


async def test_a_throttled_call_is_retried_and_then_an_error(throttled: type[Throttle]) -> None:
    with pytest.raises(DiscoveryError, match=r"^DescribeInstances: RequestLimitExceeded$"):
        await source(Api(REGION, attempts=2), tags={"a": "1"}).look()
    assert throttled.asked == 2


async def test_an_endpoint_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DiscoveryError, match="eu-west-1: Could not connect"):
        await source(Api(REGION, attempts=1), tags={"a": "1"}).look()


async def test_without_boto3_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(DiscoveryError, match=r"install steelyard\[balancer-aws\]"):
        await source(tags={"a": "1"}).look()


class Joined:
    """A registry of one cluster `c` with one ec2 source, fed by a Watch."""

    def __init__(self, source: Ec2) -> None:
        nothing = lambda member: None  # noqa: E731 - three listeners that do nothing
        self.registry = Registry(
            Slots(Ledger.create(rows=1)), joined=nothing, changed=nothing, left=nothing
        )
        self.registry.configure({"c": [source.name]}, 0)
        self.source = source

    async def look(self) -> Watch:
        """One round of discovery."""
        seen: list[Found] = []
        watch = Watch("c", self.source, seen.append)
        task = asyncio.create_task(watch.run())
        await wait_until(lambda: watch.asked)
        task.cancel()
        with suppress(DiscoveryError):  # what is under way ends here, not in the next round
            await self.source.look()
        for found in seen:
            self.registry.see(
                "c", self.source.name, found.addresses, trusted=found.trusted, now=0, wall=0
            )
        return watch

    def check(self, health: Health) -> None:
        for member in list(self.registry.members.values()):
            before, member.state.health = member.state.health, health
            self.registry.checked(member, before, None, now=0, wall=0)

    @property
    def hosts(self) -> set[str]:
        return {member.address.host for member in self.registry.members.values()}


async def test_a_terminating_instance_leaves_when_another_takes_its_place() -> None:
    states = {"1": "InService", "2": "Pending"}

    def ask(_: Any) -> list[Instance]:
        return [Instance(f"i-{n}", f"10.0.0.{n}", None, {"a": "1"}, s) for n, s in states.items()]

    joined = Joined(source(ask, tags={"a": "1"}, interval_s=0.0))
    await joined.look()
    joined.check(Health.HEALTHY)
    states["1"] = "Terminating:Wait"
    await joined.look()
    assert joined.hosts == {"10.0.0.1"}  # nobody else is there: it serves on
    states["2"] = "InService"
    await joined.look()
    assert joined.hosts == {"10.0.0.1", "10.0.0.2"}
    (old,) = [m for m in joined.registry.members.values() if m.address.host == "10.0.0.1"]
    assert old.sources == {LEAVING}
    joined.check(Health.HEALTHY)
    assert joined.hosts == {"10.0.0.2"}


async def test_the_last_that_leaves_goes_by_its_own_word() -> None:
    state = "InService"

    def ask(_: Any) -> list[Instance]:
        return [Instance("i-1", "10.0.0.1", None, {"a": "1"}, state)]

    joined = Joined(source(ask, tags={"a": "1"}, interval_s=0.0))
    await joined.look()
    joined.check(Health.HEALTHY)
    state = "Terminating:Wait"
    watch = await joined.look()
    assert (joined.hosts, watch.error) == ({"10.0.0.1"}, None)
    joined.check(Health.UNHEALTHY)  # its /readyz says 503
    await joined.look()
    assert joined.hosts == set()


async def test_an_error_keeps_the_targets(throttled: type[Throttle]) -> None:
    known = [Instance("i-1", "10.0.0.1", None, {"a": "1"}, None)]
    api = Api(REGION, attempts=1)

    def ask(wants: Any) -> list[Instance]:
        return api(wants) if joined.hosts else known

    joined = Joined(source(ask, tags={"a": "1"}, interval_s=0.0))
    await joined.look()
    watch = await joined.look()
    assert watch.error == "DescribeInstances: RequestLimitExceeded"
    assert joined.hosts == {"10.0.0.1"}


async def test_an_instance_s_tag_says_what_it_weighs() -> None:
    """And wins over what the configuration says of all; nonsense is noted and does not."""
    said = {1: "7", 2: None, 3: "0", 4: "many", 5: "1000", 6: "1001"}

    def ask(_: tuple[Tags, ...]) -> list[Instance]:
        tags = {n: {"a": "1"} | ({} if w is None else {TAG_WEIGHT: w}) for n, w in said.items()}
        return [Instance(f"i-{n}", f"10.0.0.{n}", None, tags[n], None) for n in said]

    source = Ec2(Ec2Source(port=1, region=REGION, tags={"a": "1"}), Region(ask, rng=Random(1)))
    found = await Weighed(source, 2).look()
    weights = {address.host[-1]: weight for address, weight in found.weights.items()}
    assert weights == {"1": 7, "2": 2, "3": 2, "4": 2, "5": 1000, "6": 2}
    assert found.trusted
    assert found.note is not None
    assert [name for name in ("i-3", "i-4", "i-6") if name not in found.note] == []
    assert found.note.count("steelyard:weight") == 3
