"""The outcome of one look at what would fail later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "fails", "not checked"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that would fail later, looked at before."""

    about: str
    outcome: Outcome
    told: str = ""
