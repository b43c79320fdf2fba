"""Opt-in misbehaviour for experiments: slow, failing, hanging. Off unless ENABLE_FAULTS=1."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Faults(BaseModel):
    """What the sample routes do wrong. Health and readiness stay as they are."""

    model_config = ConfigDict(extra="forbid")

    speed: float = Field(default=1.0, gt=0.0001, le=1000)  # times the machine's normal speed
    fail: float = Field(default=0.0, ge=0, le=1)  # share of requests answered 500 at once
    hang: bool = False  # requests get no answer
