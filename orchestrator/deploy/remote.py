"""A script on machines, by SSM Run Command: no port is open for it, no key is needed.

Source: Systems Manager API reference, SendCommand (50 instances a call), GetCommandInvocation
(24,000 characters of output), ListCommandInvocations (2,500, hence not for output).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report, wait_until

MAX_OUTPUT: Final = 24_000
_AT_ONCE: Final = 50
_GOING_ON: Final = frozenset({"Pending", "InProgress", "Delayed", "Cancelling"})
_DELIVERY_S: Final = 30  # AWS's least. Source: SendCommand, TimeoutSeconds
_PAUSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a script ended on one machine: its exit status (-1: it never ran) and what it wrote."""

    status: int
    output: str
    errors: str


def known(aws: Aws, idents: Collection[str]) -> set[str]:
    """Those of the machines whose agent answers SSM."""
    online: set[str] = set()
    for some in _portions(idents):
        filters = [{"Key": "InstanceIds", "Values": list(some)}]
        for one in aws.pages(
            "ssm", "describe_instance_information", "InstanceInformationList", Filters=filters
        ):
            if one["PingStatus"] == "Online" and one["InstanceId"] in some:
                online.add(one["InstanceId"])
    return online


def wait_known(aws: Aws, idents: Collection[str], report: Report, patience: Patience) -> None:
    """Until the agent of every machine answers. Raises CloudError after the deadline."""

    def missing() -> str:
        silent = set(idents) - known(aws, idents)
        return f"no agent answers on {', '.join(sorted(silent))}" if silent else ""

    wait_until("SSM", missing, report, patience)


def run(
    aws: Aws,
    idents: Collection[str],
    script: str,
    patience: Patience,
    *,
    timeout_s: int = 60,
    about: str = "steelyard",
) -> dict[str, Ran]:
    """Run `script` as root on all machines at once; how it ended, by instance.

    Errors:
        CloudError: AWS refused, or the outcome is unknown `timeout_s` and a delivery later.
    """
    ended: dict[str, Ran] = {}
    for some in _portions(idents):
        command = _send(aws, some, script, timeout_s, about)
        pace = Patience(timeout_s + 2 * _DELIVERY_S, min(patience.pause_s, _PAUSE_S))
        _wait_ended(aws, command, set(some), pace)
        ended |= {ident: _outcome(aws, command, ident) for ident in some}
    return ended


def run_well(
    aws: Aws,
    idents: Collection[str],
    script: str,
    patience: Patience,
    *,
    timeout_s: int = 60,
    about: str = "steelyard",
) -> dict[str, str]:
    """As `run`, where every status but 0 is an error; the outputs."""
    ended = run(aws, idents, script, patience, timeout_s=timeout_s, about=about)
    for ident, ran in ended.items():
        if ran.status != 0:
            cause = ran.errors.strip()[-500:] or f"exit status {ran.status}"
            raise CloudError(f"{about} on {ident}", cause, "steelyard status shows the machines")
    return {ident: ran.output for ident, ran in ended.items()}


def _portions(idents: Collection[str]) -> Iterator[list[str]]:
    wanted = sorted(idents)
    for start in range(0, len(wanted), _AT_ONCE):
        yield wanted[start : start + _AT_ONCE]


def _send(aws: Aws, idents: list[str], script: str, timeout_s: int, about: str) -> str:
    sent = aws.call(
        "ssm",
        "send_command",
        InstanceIds=idents,
        DocumentName="AWS-RunShellScript",
        Comment=about[:100],
        TimeoutSeconds=_DELIVERY_S,
        Parameters={"commands": [script], "executionTimeout": [str(timeout_s)]},
    )
    return str(sent["Command"]["CommandId"])


def _wait_ended(aws: Aws, command: str, idents: set[str], pace: Patience) -> None:
    def missing() -> str:
        entries = aws.pages(
            "ssm", "list_command_invocations", "CommandInvocations", CommandId=command
        )
        ended = {e["InstanceId"] for e in entries if e["Status"] not in _GOING_ON}
        return f"waiting for {', '.join(sorted(idents - ended))}" if idents - ended else ""

    wait_until("command", missing, _in_silence, pace)


def _outcome(aws: Aws, command: str, ident: str) -> Ran:
    told: Mapping[str, Any] = aws.call(
        "ssm", "get_command_invocation", CommandId=command, InstanceId=ident
    )
    status = int(told.get("ResponseCode", -1))
    if told["Status"] != "Success" and status == 0:
        status = -1
    errors = told.get("StandardErrorContent") or ""
    if status == -1 and not errors:
        errors = str(told.get("StatusDetails") or told["Status"])
    return Ran(status, told.get("StandardOutputContent") or "", errors)


def _in_silence(_line: str) -> None:
    """A command is a part of something that reports."""
