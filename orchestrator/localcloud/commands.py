"""Systems Manager: a command on an instance is a script in its container.

Source: SSM API reference, SendCommand and GetCommandInvocation (output of 24,000 characters).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ssm.exceptions import ValidationException
from moto.ssm.responses import SimpleSystemManagerResponse

from orchestrator.localcloud.world import Ran, World

MAX_OUTPUT: Final = 24_000
_DOCUMENT: Final = "AWS-RunShellScript"
_TIMEOUT_S: Final = 3600.0
_KEPT: Final = 1000
_TIMED_OUT: Final = 124  # as timeout(1) says it


@dataclass(slots=True, kw_only=True)
class _Command:
    ident: str
    comment: str
    timeout_s: float
    parameters: dict[str, list[str]]
    requested: datetime
    runs: dict[str, Future[Ran]] = field(default_factory=dict)  # by instance id


class Commands:
    """What SSM answers of this cloud's machines."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._commands: dict[str, _Command] = {}

    def send(self, params: dict[str, Any]) -> dict[str, Any]:
        if params.get("DocumentName") != _DOCUMENT:
            raise ValidationException(f"only {_DOCUMENT} is known here")
        parameters = params.get("Parameters") or {}
        script = "\n".join(parameters.get("commands", ()))
        timeout_s = float((parameters.get("executionTimeout") or [_TIMEOUT_S])[0])
        command = _Command(
            ident=str(uuid.uuid4()),
            comment=params.get("Comment") or "",
            timeout_s=timeout_s,
            parameters=parameters,
            requested=datetime.now(UTC),
        )
        running = self._world.machines.running()
        wanted = params.get("InstanceIds") or []
        unknown = sorted(set(wanted) - set(running))
        if unknown:
            raise JsonRESTError("InvalidInstanceId", f"Instances {unknown} not in a valid state")
        for ident in wanted:
            command.runs[ident] = self._world.pool.submit(
                self._world.machines.run, ident, script, timeout_s
            )
        self._commands[command.ident] = command
        while len(self._commands) > _KEPT:
            self._commands.pop(next(iter(self._commands)))
        return {"Command": self._described(command)}

    def invocation(self, params: dict[str, Any]) -> dict[str, Any]:
        command = self._commands.get(params["CommandId"])
        run = command.runs.get(params["InstanceId"]) if command else None
        if command is None or run is None:
            raise JsonRESTError("InvocationDoesNotExist", "no such command on that instance")
        status, ran = _outcome(run)
        return {
            "CommandId": command.ident,
            "InstanceId": params["InstanceId"],
            "Comment": command.comment,
            "DocumentName": _DOCUMENT,
            "PluginName": "aws:runShellScript",
            "ResponseCode": ran.status,
            "Status": status,
            "StatusDetails": status,
            "StandardOutputContent": ran.output[:MAX_OUTPUT],
            "StandardErrorContent": ran.errors[:MAX_OUTPUT],
        }

    def invocations(self, params: dict[str, Any]) -> dict[str, Any]:
        """Of one command, or all. With `Details`, each with its output."""
        asked, details = params.get("CommandId"), params.get("Details")
        found = []
        for command in self._commands.values():
            if asked not in (None, command.ident):
                continue
            for ident, run in command.runs.items():
                status, ran = _outcome(run)
                plugin = {
                    "Name": "aws:runShellScript",
                    "Status": status,
                    "ResponseCode": ran.status,
                    "Output": ran.output[:2500],  # as short as on AWS
                }
                found.append(
                    {
                        "CommandId": command.ident,
                        "InstanceId": ident,
                        "Comment": command.comment,
                        "DocumentName": _DOCUMENT,
                        "RequestedDateTime": command.requested.timestamp(),
                        "Status": status,
                        "StatusDetails": status,
                        "CommandPlugins": [plugin] if details else [],
                    }
                )
        return {"CommandInvocations": found}

    def instances(self) -> dict[str, Any]:
        """Every running machine: the agent is up as soon as its container is."""
        return {
            "InstanceInformationList": [
                {
                    "InstanceId": ident,
                    "PingStatus": "Online",
                    "IPAddress": address,
                    "PlatformType": "Linux",
                    "ResourceType": "EC2Instance",
                }
                for ident, address in sorted(self._world.machines.running().items())
            ]
        }

    def _described(self, command: _Command) -> dict[str, Any]:
        return {
            "CommandId": command.ident,
            "DocumentName": _DOCUMENT,
            "Comment": command.comment,
            "Parameters": command.parameters,
            "InstanceIds": list(command.runs),
            "RequestedDateTime": command.requested.timestamp(),
            "Status": "InProgress",
            "StatusDetails": "InProgress",
            "TargetCount": len(command.runs),
        }


@contextmanager
def real_commands(world: World) -> Iterator[None]:
    """While this lasts, SSM runs commands on the machines."""
    commands = Commands(world)

    def params(response: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(response.body or "{}")
        return found

    answers = {
        "send_command": lambda self: ActionResult(commands.send(params(self))),
        "get_command_invocation": lambda self: ActionResult(commands.invocation(params(self))),
        "list_command_invocations": lambda self: ActionResult(commands.invocations(params(self))),
        "describe_instance_information": lambda _self: ActionResult(commands.instances()),
    }
    with ExitStack() as stack:
        for name, answer in answers.items():
            stack.enter_context(
                patch.object(SimpleSystemManagerResponse, name, answer, create=True)
            )
        yield


def _outcome(run: Future[Ran]) -> tuple[str, Ran]:
    if not run.done():
        return "InProgress", Ran(-1, "", "")
    error = run.exception()
    if error is not None:
        return "Failed", Ran(-1, "", str(error))
    ran = run.result()
    if ran.status == _TIMED_OUT:
        return "TimedOut", ran
    return ("Success" if ran.status == 0 else "Failed"), ran
