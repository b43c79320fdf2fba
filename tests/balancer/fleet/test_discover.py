"""Sources: what they find, what is an error, what is not to be trusted."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest

from services.balancer.address import Address
from services.balancer.config import DnsSource, DockerSource, FileSource, TargetSource
from services.balancer.fleet.discover import DiscoveryError, Found, Regions, Watch, build_all
from services.balancer.fleet.discover.dns import Dns, resolve
from services.balancer.fleet.discover.docker import Docker
from services.balancer.fleet.discover.file import File
from tests.balancer.fleet.conditions import wait_until


def ports(found: Found) -> set[int]:
    return {address.port for address in found.addresses}


def test_static_entries_of_a_cluster_are_one_source() -> None:
    sources = build_all(
        [
            TargetSource(static=("10.0.0.1:1",)),
            TargetSource(dns=DnsSource(name="w", port=1)),
            TargetSource(static=("10.0.0.1:2",)),
        ],
        Regions(Random(1)),
    )
    assert set(sources) == {"static", "dns w:1"}


async def test_an_entry_says_what_each_of_its_targets_weighs(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text("[10.0.0.1:3]")
    entries = [
        TargetSource(static=("10.0.0.1:1",), weight=3),
        TargetSource(static=("10.0.0.1:2",)),
        TargetSource(file=FileSource(path=str(path), interval_s=0.5), weight=2),
    ]
    weights: dict[int, int] = {}
    for source in build_all(entries, Regions(Random(1))).values():
        found = await source.look()
        weights |= {address.port: weight for address, weight in found.weights.items()}
        assert source.interval_s == (0.5 if source.name.startswith("file") else None)
    assert weights == {1: 3, 2: 1, 3: 2}


async def test_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    source = File(FileSource(path=str(path)))
    with pytest.raises(DiscoveryError, match="cannot be read: No such file"):
        await source.look()
    path.write_text("[10.0.0.1:1, '[::1]:2']")
    assert ports(await source.look()) == {1, 2}
    path.write_text("- 10.0.0.1:3\n")
    assert ports(await source.look()) == {3}
    path.write_text("[]")
    assert await source.look() == Found(frozenset())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "must be a list"),
        ("a: 1", "must be a list"),
        ("- 10.0.0.1:1\n- name:80\n- [x]", "2:3.*is a name.*\n.*3:3.*must be host:port"),
        ("[", "not YAML"),
    ],
)
async def test_bad_content_of_a_file_is_an_error_each_time(
    tmp_path: Path, text: str, error: str
) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    source = File(FileSource(path=str(path)))
    for _ in range(2):
        with pytest.raises(DiscoveryError, match=error):
            await source.look()


class Names:
    """A resolver that answers as told."""

    def __init__(self, *answers: set[str] | OSError) -> None:
        self.answers = list(answers)

    async def __call__(self, name: str) -> set[str]:
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer


def dns(names: Any, timeout_s: float = 1.0) -> Dns:
    return Dns(DnsSource(name="w", port=80), names, timeout_s=timeout_s)


async def test_an_address_leaves_after_two_answers_without_it() -> None:
    source = dns(Names({"10.0.0.1", "10.0.0.2"}, {"10.0.0.1"}, {"10.0.0.1"}, {"10.0.0.2"}))
    counts = [len((await source.look()).addresses) for _ in range(4)]
    assert counts == [2, 2, 1, 2]


async def test_a_name_that_resolves_to_nothing_is_not_trusted() -> None:
    source = dns(Names({"10.0.0.1"}, set()))
    assert (await source.look()).trusted
    empty = await source.look()
    assert not empty.trusted
    assert empty.note == "w resolves to nothing"


async def test_a_failing_resolver_is_an_error() -> None:
    source = dns(Names(socket.gaierror(socket.EAI_AGAIN, "try again"), {"10.0.0.1"}))
    with pytest.raises(DiscoveryError, match="w: try again"):
        await source.look()
    assert len((await source.look()).addresses) == 1


async def test_a_hanging_resolver_is_asked_once() -> None:
    asked = 0
    answer: asyncio.Future[set[str]] = asyncio.get_running_loop().create_future()

    async def hang(name: str) -> set[str]:
        nonlocal asked
        asked += 1
        return await answer

    source = dns(hang, timeout_s=0.01)
    for _ in range(3):
        with pytest.raises(DiscoveryError, match="no answer within"):
            await source.look()
    assert asked == 1
    answer.set_result({"10.0.0.1"})
    assert len((await source.look()).addresses) == 1


async def test_the_real_resolver_knows_localhost() -> None:
    assert "127.0.0.1" in await resolve("localhost")


def containers(*networks: Mapping[str, Any]) -> Any:
    return lambda labels: [(f"c{i}", network) for i, network in enumerate(networks)]


async def test_docker_finds_labelled_containers() -> None:
    config = DockerSource(labels={"steelyard.cluster": "c"}, port=8000)
    source = Docker(config, containers({"n": {"IPAddress": "172.18.0.2"}}, {}))
    found = await source.look()
    assert found.addresses == {Address("172.18.0.2", 8000)}
    assert found.note == "container c1: is on 0 networks; name one with `network:`"


async def test_docker_takes_the_network_that_is_named() -> None:
    config = DockerSource(labels={"a": "b"}, port=1, network="n")
    networks = {"n": {"IPAddress": "172.18.0.2"}, "m": {"IPAddress": "172.19.0.2"}}
    found = await Docker(config, containers(networks, {"m": {}}, {"n": {"IPAddress": ""}})).look()
    assert {address.host for address in found.addresses} == {"172.18.0.2"}
    assert found.note == "container c1: is not on network n; container c2: has no address yet"


async def test_docker_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(DiscoveryError, match="docker: "):
        await Docker(DockerSource(labels={"a": "b"}, port=1)).look()


class Flaky:
    """Fails, answers, fails."""

    name = "flaky"
    interval_s = 0.005

    def __init__(self) -> None:
        self.looks = 0

    async def look(self) -> Found:
        self.looks += 1
        if self.looks == 2:
            return Found(frozenset({Address("10.0.0.1", 1)}))
        raise DiscoveryError("no")


async def test_an_error_keeps_what_was_known_and_shows() -> None:
    published: list[Found] = []
    source = Flaky()
    watch = Watch("c", source, published.append)
    task = asyncio.create_task(watch.run())
    await wait_until(lambda: source.looks >= 4)
    task.cancel()
    await asyncio.wait({task})
    assert len(published) == 1
    assert (watch.found, watch.error, watch.asked) == (1, "no", True)
