"""What holds for every test: the same examples each time, and no verdict by the clock."""

from __future__ import annotations

from hypothesis import settings

# Deterministic seeds; a slow moment of a shared machine is not a failure (pytest-timeout bounds it).
settings.register_profile("steelyard", derandomize=True, deadline=None)
settings.load_profile("steelyard")
