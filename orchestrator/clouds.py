"""Which cloud a command means: AWS, or with `CLOUD=local` the one on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orchestrator import images
from orchestrator.aws.door import Aws
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, Report
from services.contract import DRAIN_FRONT_S

ENV_CLOUD: Final = "CLOUD"
ENV_STATE: Final = "STEELYARD_STATE"
STATE: Final = Path.home() / ".local" / "state" / "steelyard"
_AWS, _LOCAL = "aws", "local"
_ANY_REGION: Final = "us-east-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long things take in a cloud; `settle` is for what it may show late, `notice_s` until a
    load balancer sends a balancer that was taken out no new connection.
    """

    patience: Patience
    settle: Patience
    notice_s: float


_PACES: Final = {
    # A machine boots in one or two minutes, ends in one; a group's deletion may take some more.
    _AWS: Pace(
        patience=Patience(deadline_s=900, pause_s=5),
        settle=Patience(deadline_s=15, pause_s=3),
        notice_s=DRAIN_FRONT_S,
    ),
    _LOCAL: Pace(
        patience=Patience(deadline_s=300, pause_s=0.5),
        settle=Patience(deadline_s=3, pause_s=0.5),
        notice_s=3,
    ),
}


def open_aws(region: str | None, report: Report, steps: images.Report = lambda _step: None) -> Aws:
    """The door to the cloud that the environment names, in a region; in any, where none is given.

    Errors:
        CloudError: there is no such cloud, or it cannot be opened.
        EngineError: the local one has no Docker engine, or its image cannot be built.
    """
    if _named() == _AWS:
        return Aws(region or _ANY_REGION)
    from orchestrator.localcloud.attach import attach  # noqa: PLC0415 - an extra, local only

    known = attach(state_folder(), region, report, steps)
    return Aws(known.region, endpoint=known.endpoint)


def pace() -> Pace:
    """Of the cloud that the environment names. Raises CloudError."""
    return _PACES[_named()]


def is_local() -> bool:
    """Whether the environment names the local cloud. Raises CloudError."""
    return _named() == _LOCAL


def state_folder() -> Path:
    """Where journals are, and what is known of the local cloud."""
    named = os.environ.get(ENV_STATE)
    return Path(named) if named else STATE


def _named() -> str:
    name = os.environ.get(ENV_CLOUD) or _AWS
    if name not in _PACES:
        raise CloudError(f"{ENV_CLOUD}={name}", "there is no such cloud", "aws or local")
    return name
