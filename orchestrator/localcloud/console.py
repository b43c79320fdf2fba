"""What a machine wrote to its console: boot, cloud-init, and how the user data ended."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final
from unittest.mock import patch

from moto.core.responses import ActionResult
from moto.ec2.responses.general import General

from orchestrator.localcloud.world import World

_MAX_BYTES: Final = 64 * 1024  # Source: EC2 API reference, GetConsoleOutput


@contextmanager
def real_consoles(world: World) -> Iterator[None]:
    """While this lasts, GetConsoleOutput answers with the container's log."""

    def get_console_output(self: Any) -> Any:
        ident = self.ec2_backend.get_instance(self._get_param("InstanceId")).id
        text = world.machines.console(ident).encode()[-_MAX_BYTES:]
        return ActionResult(
            {
                "InstanceId": ident,
                "Timestamp": datetime.now(UTC),
                "Output": base64.b64encode(text).decode(),
            }
        )

    with patch.object(General, "get_console_output", get_console_output):
        yield
