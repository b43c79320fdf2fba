"""What AWS answers in anger: repeated, or one clear message, and a trace of what was half made."""

from __future__ import annotations

from typing import Any

import botocore.exceptions
import pytest

from orchestrator.aws.door import Aws, Call, Phase
from orchestrator.aws.errors import CloudError
from tests.orchestrator.aws.account import WHOLE, Account, changed


def refusal(code: str, message: str = "no") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "x")


class Refusing:
    """A watch that answers the first `times` calls of an operation with `error`."""

    def __init__(self, operation: str, error: Exception, times: int = 1) -> None:
        self.operation, self.error, self.times = operation, error, times

    def __call__(self, call: Call, phase: Phase) -> bool:
        if call.operation == self.operation and phase == "before" and self.times > 0:
            self.times -= 1
            raise self.error
        return False


@pytest.mark.parametrize(
    ("operation", "error", "suggestion"),
    [
        ("run_instances", refusal("InsufficientInstanceCapacity"), "out of that type"),
        ("create_role", refusal("AccessDenied"), "administrator"),
        ("allocate_address", refusal("ExpiredToken"), "log in again"),
        ("create_security_group", refusal("RequestLimitExceeded"), "throttling"),
        ("get_caller_identity", botocore.exceptions.NoCredentialsError(), "aws configure"),
        (
            "get_caller_identity",
            botocore.exceptions.EndpointConnectionError(endpoint_url="https://x"),
            "region",
        ),
    ],
)
def test_one_clear_message_and_then_on(
    account: Account, operation: str, error: Exception, suggestion: str
) -> None:
    account.stop = Refusing(operation, error)
    with pytest.raises(CloudError) as caught:
        account.up()
    assert operation in caught.value.place
    assert suggestion in caught.value.suggestion
    account.up()
    assert account.things() == WHOLE


@pytest.mark.parametrize("operation", ["run_instances", "create_auto_scaling_group"])
def test_a_profile_that_is_not_there_yet_is_waited_for(account: Account, operation: str) -> None:
    late = refusal("InvalidParameterValue", "Invalid IAM Instance Profile name")
    account.stop = Refusing(operation, late, times=3)
    account.up()
    assert account.things() == WHOLE


def test_retries_are_the_sdk_s(account: Account) -> None:
    """Adaptive, with a limit, and no endless wait for a connection."""
    account.plan()
    config: Any = account.aws._client("ec2").meta.config
    assert config.retries == {"mode": "adaptive", "total_max_attempts": 8}
    assert config.connect_timeout == 5


def test_a_failing_check_stops_before_anything_is_made(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "ttl: 4h\nimage_tag: other"})
    with pytest.raises(CloudError, match="not in ECR; push it"):
        account.up()
    assert account.things() == {}


def test_what_is_not_built_is_said_in_the_plan(account: Account) -> None:
    account.deployment = changed(**{"ttl: 4h": "front: alb"})
    assert [check.about for check in account.plan().failing] == ["front"]


def test_an_unknown_profile_of_the_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match="nobody"):
        Aws("eu-west-1")
