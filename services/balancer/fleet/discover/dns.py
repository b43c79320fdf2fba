"""Every A and AAAA record of a name is a target.

Stale beats none: a resolver that fails, times out or suddenly knows nothing takes no target away by
itself. An address that is missing from one answer may be back in the next (servers rotate and cut
long answers), so it leaves after two answers without it.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from services.balancer.address import Address
from services.balancer.config import DnsSource
from services.balancer.fleet.discover.source import DiscoveryError, Found

TIMEOUT_S: Final = 2.0
MISSES: Final = 2  # answers in a row without an address until it leaves

Resolve = Callable[[str], Awaitable[set[str]]]

# What a resolver says when the name has no addresses, as opposed to when it could not find out.
_NOTHING: Final = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


async def resolve(name: str) -> set[str]:
    """All addresses of a name; empty when it has none. Raises OSError when nobody knows."""
    loop = asyncio.get_running_loop()
    try:
        found: list[Any] = await loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NOTHING:
            return set()
        raise
    # A link-local address with a zone is of no use to another machine.
    return {entry[4][0] for entry in found if "%" not in entry[4][0]}


class Dns:
    """One lookup at a time: a hanging resolver holds one thread, not one more each round."""

    def __init__(
        self, config: DnsSource, resolve: Resolve = resolve, *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.name = f"dns {config.name}:{config.port}"
        self.interval_s = config.interval_s
        self._config = config
        self._resolve = resolve
        self._timeout_s = timeout_s
        self._lookup: asyncio.Future[set[str]] | None = None
        self._misses: dict[str, int] = {}  # address -> answers in a row without it

    async def look(self) -> Found:
        """The addresses now; an answer of none is not trusted."""
        hosts = await self._hosts()
        if not hosts:
            note = f"{self._config.name} resolves to nothing"
            return Found(frozenset(), trusted=False, note=note)
        self._misses = {host: count + 1 for host, count in self._misses.items()}
        self._misses.update(dict.fromkeys(hosts, 0))
        self._misses = {host: n for host, n in self._misses.items() if n < MISSES}
        return Found(frozenset(Address(host, self._config.port) for host in self._misses))

    async def _hosts(self) -> set[str]:
        if self._lookup is None:
            self._lookup = asyncio.ensure_future(self._resolve(self._config.name))
        done, _ = await asyncio.wait({self._lookup}, timeout=self._timeout_s)
        if not done:
            raise DiscoveryError(f"{self._config.name}: no answer within {self._timeout_s:g} s")
        lookup, self._lookup = self._lookup, None
        try:
            return lookup.result()
        except (OSError, UnicodeError) as error:  # UnicodeError: a label that IDNA refuses
            reason = getattr(error, "strerror", None) or str(error)
            raise DiscoveryError(f"{self._config.name}: {reason}") from error

    def close(self) -> None:
        """Forget a lookup that is still out."""
        if self._lookup is not None:
            self._lookup.cancel()
            self._lookup = None
