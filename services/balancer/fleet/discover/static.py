"""Addresses in the configuration."""

from __future__ import annotations

from collections.abc import Iterable

from services.balancer.address import parse_target
from services.balancer.fleet.discover.source import Found


class Static:
    """Validated by the settings; IP addresses only (names change, so they belong to `dns`)."""

    name = "static"
    interval_s = None

    def __init__(self, texts: Iterable[str]) -> None:
        self.addresses = frozenset(map(parse_target, texts))

    async def look(self) -> Found:
        """Always the same."""
        return Found(self.addresses)
