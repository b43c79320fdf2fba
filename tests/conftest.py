"""What holds for every test: the same examples each time, and no verdict by the clock."""

from __future__ import annotations

from hypothesis import settings

# Fixed seeds; a slow moment of a shared machine is no failure (pytest-timeout bounds a test).
settings.register_profile("steelyard", derandomize=True, deadline=None)
settings.load_profile("steelyard")
