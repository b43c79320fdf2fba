"""What the local cloud's process says of itself in the state folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FILE: Final = "local-cloud.json"
LOG: Final = "local-cloud.log"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a local cloud is."""

    pid: int
    endpoint: str
    region: str
    scale: float  # cloud seconds in one second
    image: str
