"""Repositories, the log-in for a push, and which image a deployment runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker
import pytest

from orchestrator import ecr, push
from orchestrator.aws.door import Aws, Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.deploy.kill import kill
from orchestrator.registry import PushProgress
from services.contract import IMAGE_BALANCER, IMAGE_WORKER
from tests.emulated import emulated
from tests.orchestrator.aws.account import REGION, Account, Killed, changed, put_image


@pytest.fixture
def aws() -> Iterator[Aws]:
    with emulated():
        yield Aws(REGION)


class Engine:
    """A stub of the SDK's client: both images are built; what is pushed arrives in ECR."""

    def __init__(self) -> None:
        self.images = self.api = self
        self.logins: list[dict[str, str]] = []
        self.sent: list[str] = []
        self.to_ecr = True

    def get(self, name: str) -> Any:
        plain = name.partition(":")[0]
        tags = [f"{plain}:{'a' * 16}", f"{plain}:latest"]
        return SimpleNamespace(tags=tags, tag=lambda repository, tag: True)

    def push(self, repository: str, *, tag: str, auth_config: Any, **_: Any) -> Any:
        self.logins.append(auth_config)
        self.sent.append(f"{repository}:{tag}")
        name = repository.rpartition("/")[2]
        digest = put_image(name, tag) if self.to_ecr else "sha256:0"
        yield {"progressDetail": {}, "aux": {"Tag": tag, "Digest": digest, "Size": 7}}


def pushed(engine: Engine, aws: Aws) -> list[push.Outcome]:
    def ignore(_: PushProgress) -> None:
        pass

    return list(push.to_ecr(cast(docker.DockerClient, engine), aws, ignore))


def repositories(aws: Aws) -> dict[str, Any]:
    found = aws.call("ecr", "describe_repositories")["repositories"]
    return {repository["repositoryName"]: repository for repository in found}


def test_a_push_makes_what_is_missing_and_sends_content_once(aws: Aws) -> None:
    engine = Engine()
    first = pushed(engine, aws)
    assert [(one.tag, one.sent) for one in first] == [("a" * 16, True)] * 2
    assert not any(name.endswith("latest") for name in engine.sent), "immutable tags cannot move"
    assert engine.logins[0]["username"] == "AWS"
    for repository in repositories(aws).values():
        assert repository["imageTagMutability"] == "IMMUTABLE"
        assert repository["imageScanningConfiguration"] == {"scanOnPush": True}
    policy = aws.call("ecr", "get_lifecycle_policy", repositoryName=IMAGE_WORKER)
    (rule,) = json.loads(policy["lifecyclePolicyText"])["rules"]
    assert rule["selection"]["countNumber"] == 10

    again = pushed(engine, aws)
    assert [(one.digest, one.sent) for one in again] == [(one.digest, False) for one in first]
    assert len(engine.sent) == 2


def test_the_log_in_is_asked_for_only_where_something_is_sent(aws: Aws) -> None:
    pushed(Engine(), aws)
    calls: list[str] = []
    watched = Aws(REGION, watch=lambda call, _: calls.append(call.operation))
    pushed(Engine(), watched)
    assert "get_authorization_token" not in calls


def test_old_content_that_is_there_is_not_what_runs_and_says_so(aws: Aws) -> None:
    pushed(Engine(), aws)
    put_image(IMAGE_WORKER, "b" * 16, seconds_later=60)
    (worker,) = [one for one in pushed(Engine(), aws) if one.note]
    assert f"{IMAGE_WORKER}:{'b' * 16} was pushed later" in worker.note


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_push_killed_at_every_call_is_repeated(aws: Aws, phase: Phase) -> None:
    killed: set[str] = set()

    def watch(call: Call, now: Phase) -> None:
        mark = f"{call} {call.params}"
        if now == phase and mark not in killed:
            killed.add(mark)
            raise Killed(mark)

    door, outcomes = Aws(REGION, watch=watch), list[push.Outcome]()
    while not outcomes:
        try:
            outcomes = pushed(Engine(), door)
        except Killed:
            continue
    assert len(killed) > 8
    assert set(repositories(aws)) == {IMAGE_WORKER, IMAGE_BALANCER}
    aws.call("ecr", "get_lifecycle_policy", repositoryName=IMAGE_BALANCER)


def test_a_repository_of_ours_that_was_changed_is_brought_back(aws: Aws) -> None:
    ecr.prepare(aws, IMAGE_WORKER)
    aws.call(
        "ecr", "put_image_tag_mutability", repositoryName=IMAGE_WORKER, imageTagMutability="MUTABLE"
    )
    ecr.prepare(aws, IMAGE_WORKER)
    assert repositories(aws)[IMAGE_WORKER]["imageTagMutability"] == "IMMUTABLE"


def test_somebody_else_s_repository_is_used_and_never_changed_or_removed(aws: Aws) -> None:
    aws.call("ecr", "create_repository", repositoryName=IMAGE_WORKER)
    assert not ecr.prepare(aws, IMAGE_WORKER).ours
    assert repositories(aws)[IMAGE_WORKER]["imageTagMutability"] == "MUTABLE"
    pushed(Engine(), aws)
    assert ecr.remove(aws) == (IMAGE_BALANCER,)
    assert set(repositories(aws)) == {IMAGE_WORKER}


def test_kill_takes_the_repositories_and_down_leaves_them(account: Account) -> None:
    pushed(Engine(), account.aws)
    for name in ecr.NAMES:
        arn = repositories(account.aws)[name]["repositoryArn"]
        tags = [{"Key": "steelyard:project", "Value": "steelyard"}]
        account.aws.call("ecr", "tag_resource", resourceArn=arn, tags=tags)
    account.up()
    account.down()
    assert set(repositories(account.aws)) == set(ecr.NAMES)
    (one,) = kill(account.aws, [REGION], account.told.append, account.around.patience)
    assert (one.error, repositories(account.aws)) == ("", {})


def test_the_newest_image_of_each_is_deployed(account: Account) -> None:
    put_image(IMAGE_WORKER, "c" * 16, seconds_later=60)
    (check,) = [c for c in account.plan().checks if c.about == f"image {IMAGE_WORKER}"]
    assert check.told.startswith("c" * 16)


def test_another_image_on_request(account: Account) -> None:
    put_image(IMAGE_WORKER, "c" * 16, seconds_later=60)
    tags = "image_tag: {worker: first}"
    account.deployment = changed(**{"ttl: 4h": f"ttl: 4h\n{tags}"})
    abouts = {check.about: check.outcome for check in account.plan().checks}
    assert abouts[f"image {IMAGE_WORKER}:first"] == "ok"
    assert abouts[f"image {IMAGE_BALANCER}"] == "ok"


@pytest.mark.parametrize(
    ("registry", "region"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("localhost:5000", None),
        ("ghcr.io/someone", None),
    ],
)
def test_ecr_is_known_by_its_host(registry: str, region: str | None) -> None:
    assert ecr.region_of(registry) == region
    if region:
        assert ecr.host("123456789012", region) == registry


def test_a_refused_log_in_is_told(aws: Aws) -> None:
    def watch(call: Call, phase: Phase) -> None:
        if call.operation == "get_authorization_token" and phase == "before":
            raise CloudError(str(call), "AccessDenied: no", code="AccessDenied")

    with pytest.raises(CloudError, match="get_authorization_token"):
        pushed(Engine(), Aws(REGION, watch=watch))


def test_nothing_of_the_log_in_is_written(aws: Aws, tmp_path: Path) -> None:
    assert "auth-token" not in repr(ecr.login(aws))
