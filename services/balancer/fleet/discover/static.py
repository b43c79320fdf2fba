"""Addresses in the configuration."""

from __future__ import annotations

from collections.abc import Mapping

from services.balancer.address import parse_target
from services.balancer.fleet.discover.source import Found


class Static:
    """Validated by the settings; IP addresses only (names change, so they belong to `dns`)."""

    name = "static"
    interval_s = None

    def __init__(self, weights: Mapping[str, int]) -> None:
        self._weights = {parse_target(text): weight for text, weight in weights.items()}

    async def look(self) -> Found:
        """Always the same."""
        return Found(frozenset(self._weights), weights=self._weights)
