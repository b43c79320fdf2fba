"""What was just made is not there everywhere at once.

An instance profile that IAM has made is unknown to EC2 for some ten seconds; a new security group,
template or address may be unknown to the next call. Source: EC2 API reference, "Ensuring
idempotency" and "Eventual consistency".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, until_visible

T = TypeVar("T")
_PROFILE: Final = frozenset({"InvalidParameterValue", "ValidationError"})
_DEADLINE_S: Final = 60.0


def when_visible(act: Callable[[], T], patience: Patience) -> T:
    """`act`, repeated while the answer is that something does not exist, for a minute.

    Errors:
        CloudError: another refusal, or still the same.
    """
    wait = Patience(min(_DEADLINE_S, patience.deadline_s), patience.pause_s)
    return until_visible(act, _not_there, wait)


def _not_there(error: CloudError) -> bool:
    if error.code in _PROFILE:
        cause = error.cause.lower()
        return "instance profile" in cause or "launch template" in cause
    return error.code == "NoSuchEntity" or error.code.endswith((".NotFound", ".Unknown"))
