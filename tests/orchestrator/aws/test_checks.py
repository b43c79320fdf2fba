"""What would fail later is seen in the plan; what cannot be answered says why."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models.instance_types import InstanceTypeOfferingBackend
from moto.ecr.responses import ECRResponse
from moto.iam.responses import IamResponse
from moto.servicequotas.responses import ServiceQuotasResponse
from moto.sts.responses import TokenResponse

from orchestrator.aws.door import Aws
from orchestrator.deploy.check import Check
from services.contract import IMAGE_WORKER
from tests.orchestrator.aws.account import Account, changed, put_image


def check(account: Account, about: str) -> Check:
    (found,) = [one for one in account.plan().checks if one.about == about]
    return found


@pytest.fixture
def simulator(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[dict[str, Any]]]:
    """IAM's simulator: allows all but what it is told; the requests that it got."""

    def install(*denied: str, missing: tuple[str, ...] = ()) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = []

        def simulate(self: IamResponse) -> Any:
            names = self._get_param("ActionNames")
            arns = self._get_param("ResourceArns")
            asked.append(
                {"actions": names, "arns": arns, "who": self._get_param("PolicySourceArn")}
            )
            results = [
                {
                    "EvalActionName": name,
                    "EvalDecision": "implicitDeny" if name in denied else "allowed",
                    "MissingContextValues": list(missing) if name in denied else [],
                }
                for name in names
            ]
            return ActionResult({"EvaluationResults": results, "IsTruncated": False})

        monkeypatch.setattr(IamResponse, "simulate_principal_policy", simulate)
        return asked

    return install


def test_the_emulator_s_silence_is_not_checked_and_says_why(account: Account) -> None:
    silent = {c.about: c.told for c in account.plan().checks if c.outcome == "not checked"}
    assert set(silent) == {
        "permissions",
        "quota of vCPUs",
        "quota of Elastic IPs",
        "architecture of steelyard-worker",
        "architecture of steelyard-balancer",
    }
    assert all(silent.values())


def test_all_permissions(account: Account, simulator: Callable[..., Any]) -> None:
    asked = simulator()
    assert check(account, "permissions").outcome == "ok"
    names = {name for request in asked for name in request["actions"]}
    assert {"ec2:RunInstances", "iam:PassRole", "ecr:PutImage"} <= names
    assert not any("*" in arn for request in asked for arn in request["arns"] if arn != "*")
    assert {request["who"] for request in asked} == {"arn:aws:iam::123456789012:user/moto"}
    assert len(asked) < 20, "one request a statement, not one an action"


def test_a_missing_permission_stands_in_the_way(
    account: Account, simulator: Callable[..., Any]
) -> None:
    simulator("iam:CreateRole", "ec2:RunInstances")
    found = check(account, "permissions")
    assert found.outcome == "fails"
    assert "denied: ec2:RunInstances, iam:CreateRole" in found.told
    assert "aws-permissions.md" in found.told


def test_what_the_simulator_cannot_decide_is_not_checked(
    account: Account, simulator: Callable[..., Any]
) -> None:
    simulator("iam:CreateRole", missing=("aws:MultiFactorAuthPresent",))
    found = check(account, "permissions")
    assert (found.outcome, found.told) == ("not checked", "IAM cannot decide: iam:CreateRole")


@pytest.mark.parametrize(
    ("arn", "outcome"),
    [
        ("arn:aws:iam::123456789012:root", "ok"),
        ("arn:aws:sts::123456789012:assumed-role/nobody/me", "not checked"),
        ("arn:aws:sts::123456789012:federated-user/me", "not checked"),
    ],
)
def test_callers(account: Account, monkeypatch: pytest.MonkeyPatch, arn: str, outcome: str) -> None:
    who = {"Account": "123456789012", "Arn": arn, "UserId": "x"}
    monkeypatch.setattr(TokenResponse, "get_caller_identity", lambda _: ActionResult(who))
    assert check(account, "permissions").outcome == outcome


def with_quotas(monkeypatch: pytest.MonkeyPatch, limits: Mapping[str, float]) -> None:
    def answer(self: ServiceQuotasResponse) -> str:
        code = json.loads(self.body)["QuotaCode"]
        if code not in limits:
            raise ServiceException("NoSuchResourceException", "no")
        return json.dumps({"Quota": {"QuotaCode": code, "Value": limits[code]}})

    monkeypatch.setattr(ServiceQuotasResponse, "get_service_quota", answer)


def test_quotas(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with_quotas(monkeypatch, {"L-1216C47A": 10, "L-0263D0A3": 5})
    vcpus = check(account, "quota of vCPUs")  # 2 x 1, 1 (of 3) x 2, the balancer's 2
    assert (vcpus.outcome, vcpus.told) == ("ok", "6 of 10")
    assert check(account, "quota of Elastic IPs").told == "1 of 5"
    account.up()
    assert check(account, "quota of vCPUs").told == "6 of 10", "its own machines count once"


def test_quotas_that_do_not_suffice(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    others = {"MinCount": 3, "MaxCount": 3, "InstanceType": "t2.medium", "ImageId": "ami-12c6146b"}
    account.aws.call("ec2", "run_instances", **others)
    account.aws.call("ec2", "allocate_address", Domain="vpc")
    with_quotas(monkeypatch, {"L-1216C47A": 11, "L-0263D0A3": 1})
    vcpus = check(account, "quota of vCPUs")
    assert (vcpus.outcome, vcpus.told) == ("fails", "12 with what runs already, the limit is 11")
    assert check(account, "quota of Elastic IPs").outcome == "fails"
    with_quotas(monkeypatch, {"L-1216C47A": 12})
    assert "scaled to the most it would be 16" in check(account, "quota of vCPUs").told


def test_spot_has_its_own_quota(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.deployment = changed(**{"count: 2": "count: 2, spot: true"})
    with_quotas(monkeypatch, {"L-1216C47A": 10, "L-34B43A08": 1})
    assert check(account, "quota of vCPUs").told == "4 of 10"
    assert check(account, "quota of spot vCPUs").outcome == "fails"


def without_zone(monkeypatch: pytest.MonkeyPatch, type_name: str, *zones: str) -> None:
    plain = InstanceTypeOfferingBackend.describe_instance_type_offerings

    def fewer(self: Any, *args: Any, **kwargs: Any) -> Any:
        return [
            offer
            for offer in plain(self, *args, **kwargs)
            if not (offer["InstanceType"] == type_name and offer["Location"] in zones)
        ]

    monkeypatch.setattr(InstanceTypeOfferingBackend, "describe_instance_type_offerings", fewer)


def test_a_zone_without_the_type_gets_none_of_those_machines(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_zone(monkeypatch, "t2.micro", "eu-west-1a")
    found = check(account, "instance type t2.micro")
    assert (found.outcome, "eu-west-1a" in found.told) == ("ok", True)
    account.up()
    groups = account.aws.call("autoscaling", "describe_auto_scaling_groups")["AutoScalingGroups"]
    subnets = {g["AutoScalingGroupName"]: g["VPCZoneIdentifier"].split(",") for g in groups}
    assert len(subnets["steelyard-demo-cluster1"]) == 2
    assert len(subnets["steelyard-demo-cluster2"]) == 3


def test_a_type_that_no_zone_offers_fails(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_zone(monkeypatch, "t2.micro", "eu-west-1a", "eu-west-1b", "eu-west-1c")
    assert check(account, "instance type t2.micro").outcome == "fails"


def with_config(account: Account, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """ECR gives the images' configuration, which names `word` as their architecture."""
    url = json.dumps({"downloadUrl": "https://layers.example/x", "layerDigest": "sha256:0"})
    monkeypatch.setattr(ECRResponse, "get_download_url_for_layer", lambda _: url)
    config = json.dumps({"architecture": word, "os": "linux"}).encode()
    account.outside = replace(account.outside, fetch=lambda _: config)


def test_the_image_s_architecture(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with_config(account, monkeypatch, "amd64")
    found = check(account, "architecture of steelyard-worker")
    assert (found.outcome, found.told) == ("ok", "x86_64")


def test_an_image_of_the_wrong_architecture_fails(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_config(account, monkeypatch, "amd64")
    account.deployment = changed(**{"type: t2.micro": "type: t4g.micro"})
    found = check(account, "architecture of steelyard-worker")
    assert (found.outcome, found.told) == ("fails", "it is built for x86_64; needed: arm64")
    assert check(account, "architecture of steelyard-balancer").outcome == "ok"


def test_an_image_of_several_architectures(account: Account) -> None:
    platforms = [{"platform": {"architecture": a}} for a in ("amd64", "arm64", "unknown")]
    put_image(IMAGE_WORKER, "both", seconds_later=60, manifest={"manifests": platforms})
    account.deployment = changed(**{"type: t2.micro": "type: t4g.micro"})
    found = check(account, "architecture of steelyard-worker")
    assert (found.outcome, found.told) == ("ok", "arm64, x86_64")


def test_a_configuration_that_is_not_understood_is_not_checked(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_config(account, monkeypatch, "amd64")
    account.outside = replace(account.outside, fetch=lambda _: b"<html>")
    assert check(account, "architecture of steelyard-worker").outcome == "not checked"


def test_a_key_pair_that_is_not_there_fails(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "ssh: {key_pair: nobody}"})
    (failing,) = account.plan().failing
    assert "describe_key_pairs" in failing.about
    assert "nobody" in failing.told


@pytest.mark.parametrize(
    ("image", "told"),
    [([], "does not exist in"), ([{"Architecture": "arm64"}], " is arm64")],
)
def test_a_machine_image_that_does_not_fit_fails(
    account: Account, monkeypatch: pytest.MonkeyPatch, image: list[dict[str, str]], told: str
) -> None:
    plain = Aws.call

    def call(self: Aws, service: str, operation: str, **params: Any) -> Any:
        if operation == "describe_images" and service == "ec2":
            return {"Images": image}
        return plain(self, service, operation, **params)

    monkeypatch.setattr(Aws, "call", call)
    found = check(account, "AMI for x86_64")
    assert found.outcome == "fails"
    assert told in found.told


def test_a_named_vpc_that_is_not_there_fails(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "vpc: vpc-0123456789abcdef0"})
    assert any("vpc-0123456789abcdef0" in one.told for one in account.plan().failing)
