"""What a source of targets is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from services.balancer.address import Address


class DiscoveryError(Exception):
    """The source cannot say; whatever it said before stays true. The message is one line."""


class Found(NamedTuple):
    """All addresses that a source knows.

    An answer that is not `trusted` may be missing some (a name server that suddenly knows nothing):
    targets that it lacks leave only when they fail their health checks too. `note` says why.
    `instances` names the machine behind an address, and `weights` says what it weighs, where the
    source knows it.
    """

    addresses: frozenset[Address]
    trusted: bool = True
    note: str | None = None
    instances: Mapping[Address, str] = MappingProxyType({})
    weights: Mapping[Address, int] = MappingProxyType({})


class Source(Protocol):
    """Asked again every `interval_s`; None: once is enough. `name` is unique in its cluster."""

    @property
    def name(self) -> str:
        """As the admin API shows it."""
        ...

    @property
    def interval_s(self) -> float | None:
        """Seconds between two looks."""
        ...

    async def look(self) -> Found:
        """The present answer; raises DiscoveryError, nothing else."""
        ...
