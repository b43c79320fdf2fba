"""An instance profile that IAM has made is unknown to EC2 for some ten seconds."""

from __future__ import annotations

from typing import Any, Final

from orchestrator.aws.door import Answer, Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, until_visible

_CODES: Final = frozenset({"InvalidParameterValue", "ValidationError"})
_DEADLINE_S: Final = 60.0


def call_when_visible(
    aws: Aws, service: str, operation: str, patience: Patience, **params: Any
) -> Answer:
    """`Aws.call`, repeated while the answer is that the instance profile does not exist."""

    def not_yet(error: CloudError) -> bool:
        return error.code in _CODES and "instance profile" in error.cause.lower()

    wait = Patience(min(_DEADLINE_S, patience.deadline_s), patience.pause_s)
    return until_visible(lambda: aws.call(service, operation, **params), not_yet, wait)
