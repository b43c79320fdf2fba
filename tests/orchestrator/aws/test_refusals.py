"""What AWS answers in anger: repeated, or one clear message, and a trace of what was half made."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import botocore.exceptions
import pytest
from botocore.awsrequest import AWSResponse
from moto.core.botocore_stubber import MockRawResponse

from orchestrator.aws.door import Aws, Call, Phase
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience
from tests.orchestrator.aws.account import REGION, WHOLE, Account, changed


def refusal(code: str, message: str = "no") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "x")


class Refusing:
    """A watch that answers the first `times` calls of an operation with `error`, in any thread."""

    def __init__(self, operation: str, error: Exception, times: int = 1) -> None:
        self.operation, self.error, self.times = operation, error, times
        self._lock = threading.Lock()

    def __call__(self, call: Call, phase: Phase) -> bool:
        with self._lock:
            if call.operation == self.operation and phase == "before" and self.times > 0:
                self.times -= 1
                raise self.error
        return False


@pytest.mark.parametrize(
    ("operation", "error", "suggestion"),
    [
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


def test_a_zone_without_room_leads_to_the_next(account: Account) -> None:
    account.stop = Refusing("run_instances", refusal("InsufficientInstanceCapacity"), times=2)
    account.up()
    tried = [c.params for c in account.calls if c.operation == "run_instances"]
    assert len({params["SubnetId"] for params in tried}) == 3
    assert len({params["ClientToken"] for params in tried}) == 3
    assert account.things() == WHOLE
    assert account.up().changes == ()


def test_no_zone_has_room(account: Account) -> None:
    account.stop = Refusing("run_instances", refusal("InsufficientInstanceCapacity"), times=3)
    with pytest.raises(CloudError) as caught:
        account.up()
    assert "out of that type" in caught.value.suggestion
    account.up()
    assert account.things() == WHOLE


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ("describe_security_groups", "InvalidGroup.NotFound"),
        ("authorize_security_group_ingress", "InvalidGroup.NotFound"),
        ("create_tags", "InvalidGroup.NotFound"),
        ("run_instances", "InvalidLaunchTemplateId.NotFound"),
        ("associate_address", "InvalidAllocationID.NotFound"),
        ("put_role_policy", "NoSuchEntity"),
        ("add_role_to_instance_profile", "NoSuchEntity"),
        ("create_auto_scaling_group", "ValidationError"),
    ],
)
def test_what_was_just_made_and_is_not_there_yet_is_waited_for(
    account: Account, operation: str, code: str
) -> None:
    late = Refusing(operation, refusal(code, "the launch template does not exist"), times=3)
    seen = list[str]()

    def once_something_is_made(call: Call, phase: Phase) -> bool:
        seen.append(call.operation)
        made = any(name.startswith(("create_", "allocate_")) for name in seen)
        return late(call, phase) if made else False

    account.stop = once_something_is_made
    account.up()
    assert late.times == 0
    assert account.things() == WHOLE
    assert account.up().changes == ()


def test_what_never_comes_to_be_there_is_told(account: Account) -> None:
    account.around = replace(account.around, patience=Patience(0, 0))
    account.stop = Refusing("put_role_policy", refusal("NoSuchEntity", "no such role"), times=99)
    with pytest.raises(CloudError, match=r"put_role_policy.*no such role"):
        account.up()


def throttled(account: Account, service: str, operation: str, times: int) -> Callable[[], int]:
    """AWS answers the first `times` requests with a throttle; how many it was sent.

    The emulator sees each of them, too, so this is for operations that change nothing.
    """
    sent = [0]

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        sent[0] += 1
        if sent[0] > times:
            return None
        body = (
            "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>slow down"
            "</Message></Error></Errors><RequestID>x</RequestID></Response>"
        )
        return AWSResponse(request.url, 503, {}, MockRawResponse(body.encode()))

    # Its own clients: the handler stays with them.
    account.aws = Aws(REGION, watch=account._watch)
    events = account.aws._client(service).meta.events
    events.register_first(f"before-send.{service}.{operation}", answer)
    return lambda: sent[0]


def test_throttling_is_repeated_by_the_sdk(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    sent = throttled(account, "ec2", "DescribeVpcs", times=3)
    account.plan()
    assert sent() == 4


def test_throttling_without_end_is_one_clear_message(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    sent = throttled(account, "ec2", "DescribeVpcs", times=99)
    with pytest.raises(CloudError, match="RequestLimitExceeded: slow down") as caught:
        account.aws.call("ec2", "describe_vpcs")
    assert sent() == 8
    assert "wait a minute" in caught.value.suggestion


def test_a_token_that_expires_halfway_leaves_a_trace_and_can_be_gone_on_from(
    account: Account,
) -> None:
    def expired(call: Call, phase: Phase) -> bool:
        if len(account.calls) > 60 and phase == "before":
            raise refusal("ExpiredToken", "the security token has expired")
        return False

    account.stop = expired
    with pytest.raises(CloudError) as caught:
        account.up()
    assert "log in again" in caught.value.suggestion
    account.stop = lambda _call, _phase: False
    account.up()
    assert account.things() == WHOLE


@pytest.mark.parametrize("operation", ["create_role"])
def test_a_role_that_may_not_be_made_keeps_the_rest_repeatable(
    account: Account, operation: str
) -> None:
    account.stop = Refusing(operation, refusal("AccessDenied"), times=2)
    with pytest.raises(CloudError, match="AccessDenied"):
        account.up()
    account.down()
    assert account.things() == {}


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


def test_an_unknown_profile_of_the_laptop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(CloudError, match="nobody"):
        Aws("eu-west-1")
