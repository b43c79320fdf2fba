"""Machines behind the emulated API that answer Run Command: the admin API, how a boot ended."""

from __future__ import annotations

import base64
import json
import re
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from moto.backends import get_backend

from orchestrator.localcloud.commands import real_commands
from orchestrator.localcloud.world import ACCOUNT, Clock, Ran, World
from services.contract import TAG_CLUSTER, TAG_RESOURCE
from tests.orchestrator.aws.account import REGION


def _tag(instance: Any, key: str) -> str:
    return str(next((t["value"] for t in instance.get_tags() if t["key"] == key), ""))


@dataclass
class Fleet:
    """What the machines do. Everything is healthy unless a test says otherwise."""

    state: Callable[[Any], str] = lambda _instance: "healthy"
    counts: Callable[[Any], tuple[int, int]] = lambda _instance: (0, 0)  # requests, errors
    ready: Callable[[str], bool] = lambda _balancer: True
    blind: Callable[[str], bool] = lambda _balancer: False  # it sees none as healthy
    seen_by: Callable[[str], tuple[int, int]] | None = None  # counts of every target, by balancer
    without: dict[str, set[str]] = field(default_factory=dict)  # clusters, by balancer
    boots: dict[str, str] = field(default_factory=dict)  # what failed, by instance
    pending: dict[str, list[int]] = field(default_factory=dict)  # answers to come, by instance
    draining: set[str] = field(default_factory=set)  # targets
    drained: list[str] = field(default_factory=list)  # in the order of the orders
    scripts: list[tuple[str, str]] = field(default_factory=list)
    capacity: list[int] = field(default_factory=list)  # of cluster1, healthy and not draining
    output: Mapping[str, Ran] = field(default_factory=dict)  # of other scripts

    def machines(self) -> dict[str, Any]:
        find: Any = get_backend
        found = find("ec2")[ACCOUNT][REGION].all_instances()
        return {one.id: one for one in found if one.state == "running"}

    def running(self) -> dict[str, str]:
        return {ident: str(one.private_ip) for ident, one in self.machines().items()}

    def run(self, ident: str, script: str, timeout_s: float) -> Ran:
        self.scripts.append((ident, script))
        if script.startswith("python3 - "):
            assert _tag(self.machines()[ident], TAG_RESOURCE) == "balancer"
            orders = json.loads(shlex.split(script.partition("\n")[0])[2])
            told = json.dumps(self._admin(ident, orders)).encode()
            return Ran(0, base64.b64encode(zlib.compress(told)).decode() + "\n", "")
        if "cloud-init status" in script:
            failed = self.boots.get(ident)
            return Ran(0, f"FAILED\n{failed}\n" if failed else "", "")
        return self.output.get(ident, Ran(0, "", ""))

    def _admin(self, balancer: str, orders: dict[str, Any]) -> dict[str, Any]:
        workers = {i: m for i, m in self.machines().items() if _tag(m, TAG_CLUSTER)}
        self.drained += orders.get("drain", ())
        self.draining |= set(orders.get("drain", ()))
        self.draining -= set(orders.get("undrain", ()))
        targets = []
        for ident, one in workers.items():
            cluster = _tag(one, TAG_CLUSTER)
            address = f"{one.private_ip}:8000"
            name = f"{cluster}/{address}"
            state = "draining" if name in self.draining else self.state(one)
            state = "unknown" if self.blind(balancer) else state
            answers = self.pending.get(ident, [])
            pending = answers.pop(0) if answers else 0
            counted = self.seen_by(balancer) if self.seen_by else self.counts(one)
            targets.append([cluster, name, None, address, state, pending, *counted, 99.0])
        self.capacity.append(sum(t[0] == "cluster1" and t[4] == "healthy" for t in targets))
        names = {_tag(one, TAG_CLUSTER) for one in workers.values()}
        clusters = sorted(names - self.without.get(balancer, set()))
        return {
            "ready": self.ready(balancer),
            "unknown": [],
            "clusters": clusters,
            "targets": [target for target in targets if target[0] in clusters],
        }


class _Inline:
    """A pool that does the work at once."""

    @staticmethod
    def submit(work: Callable[..., Any], *args: Any) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(work(*args))
        return done


@contextmanager
def a_fleet() -> Iterator[Fleet]:
    """While this lasts, SSM reaches the fleet's machines."""
    fleet = Fleet()
    world = World(
        machines=cast(Any, fleet),
        clock=Clock(),
        region=REGION,
        report=lambda _: None,
        pool=cast(Any, _Inline()),
    )
    with real_commands(world):
        yield fleet


def image_of(script: str) -> str:
    """The image that user data runs."""
    found = re.search(r"^IMAGE=(\S+)$", script, re.MULTILINE)
    assert found
    return found[1]
