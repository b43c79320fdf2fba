"""An AWS account served by moto in this process, and a deployment to put into it."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import boto3
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ecr.models import ecr_backends

from orchestrator.aws.door import Aws, Call, Phase
from orchestrator.aws.wait import Patience
from orchestrator.deploy.down import take_down
from orchestrator.deploy.journal import Journal
from orchestrator.deploy.load import parse
from orchestrator.deploy.outside import Outside
from orchestrator.deploy.plan import Plan, find_all, make_plan
from orchestrator.deploy.provision import Surroundings, provision
from orchestrator.deploy.resource import Scope
from orchestrator.deploy.resources.machine import ALIVE, instances
from orchestrator.deploy.settings import Deployment
from services.contract import IMAGE_BALANCER, IMAGE_WORKER
from tests.emulated import emulated
from tests.stand.proc import PATIENCE_S

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
REGION = "eu-west-1"
SETTINGS = f"""
name: demo
region: {REGION}
access: [0.0.0.0/0]
ttl: 4h
clusters:
  - {{name: cluster1, type: t2.micro, count: 2}}
  - {{name: cluster2, type: t2.large, scale: {{min: 0, max: 3, desired: 1}}, work_ms: 5}}
"""


class _Kept:
    """A session that makes a client once: of an account, clients hold nothing."""

    def __init__(self) -> None:
        self._session = boto3.Session(region_name=REGION)
        self._made: dict[tuple[object, ...], Any] = {}
        self._making = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def client(self, *words: Any, **options: Any) -> Any:
        key = (*words, *sorted(options.items()))
        with self._making:
            if key not in self._made:
                self._made[key] = self._session.client(*words, **options)
            return self._made[key]


@cache
def session() -> Any:
    """One for all: reading the service descriptions is most of a test's time otherwise."""
    return _Kept()


class Killed(BaseException):
    """The process dies at a call."""


def changed(settings: str = SETTINGS, **replacements: str) -> Deployment:
    """The deployment with pieces of its text replaced."""
    for old, new in replacements.items():
        assert old in settings
        settings = settings.replace(old, new)
    return parse(settings.encode())


@dataclass
class Account:
    """The account seen through our own door, whose watch can kill the run."""

    folder: Path
    calls: list[Call] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    stop: Callable[[Call, Phase], bool] = lambda _call, _phase: False
    outside: Outside = field(
        default_factory=lambda: Outside(my_address=lambda: "203.0.113.7", fetch=lambda _: b"{}")
    )
    deployment: Deployment = field(default_factory=lambda: parse(SETTINGS.encode()))

    def __post_init__(self) -> None:
        self.aws = Aws(REGION, watch=self._watch, session=session())
        numbers = count()
        self.around = Surroundings(
            clock=lambda: 1_760_000_000.0,
            fresh_token=lambda: f"token-{next(numbers)}",
            patience=Patience(PATIENCE_S, 0),
            settle=Patience(0, 0),
            report=self.told.append,
        )

    def _watch(self, call: Call, phase: Phase) -> None:
        if phase == "before":
            self.calls.append(call)
        if self.stop(call, phase):
            raise Killed(f"{phase} {call}")

    @property
    def journal(self) -> Journal:
        return Journal(self.folder / "journal.jsonl", lambda: 0.0)

    def stock(self) -> None:
        """Both images in ECR."""
        client = session().client("ecr")
        has = {one["repositoryName"] for one in client.describe_repositories()["repositories"]}
        for name in (IMAGE_WORKER, IMAGE_BALANCER):
            if name not in has:
                client.create_repository(repositoryName=name)
            put_image(name, "first")

    def plan(self) -> Plan:
        return make_plan(self.aws, self.deployment, self.outside)

    def up(self) -> Plan:
        with self.journal as journal:
            plan = self.plan()
            provision(self.aws, plan, journal, self.around)
        return plan

    def down(self) -> int:
        with self.journal as journal:
            return take_down(self.aws, self.deployment.name, journal, self.around)

    def things(self) -> Counter[str]:
        """How many of each kind there are, machines of groups included."""
        found = Counter(one.key.kind for one in find_all(self.aws, Scope()))
        found["machine"] = len(instances(self.aws, Scope(), ALIVE))
        return +found


WHOLE = Counter(
    {
        "log group": 1,
        "security group": 2,
        "role": 2,
        "instance profile": 2,
        "launch template": 3,
        "group": 2,
        "address": 1,
        "instance": 1,
        "dashboard": 1,
        "machine": 4,
    }
)


def put_image(
    name: str, tag: str, *, seconds_later: int = 0, manifest: dict[str, Any] | None = None
) -> str:
    """An image as an engine would push it; its digest."""
    config = f"sha256:{hashlib.sha256(f'{name}:{tag}'.encode()).hexdigest()}"
    content = manifest or {"config": {"digest": config}, "layers": []}
    text = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, **content})
    digest = f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"
    ecr_backends[DEFAULT_ACCOUNT_ID][REGION].put_image(
        repository_name=name, image_manifest=text, image_tag=tag, digest=digest
    )
    for image in ecr_backends[DEFAULT_ACCOUNT_ID][REGION].repositories[name].images:
        if tag in image.image_tags:
            image.image_pushed_at += seconds_later
    return digest


@contextmanager
def an_account(folder: Path) -> Iterator[Account]:
    """A fresh account with both images in ECR."""
    with emulated():
        made = Account(folder)
        made.stock()
        yield made
