"""Follows the configuration: where to listen, who the others are, which targets there are."""

from __future__ import annotations

import asyncio
import logging
import os
from functools import partial
from typing import Final

from services.balancer.address import Address
from services.balancer.config import Balancers
from services.balancer.fleet.discover import Found, Regions, Watch, build_all
from services.balancer.ledger import Ledger
from services.balancer.peers.datagram import key_of
from services.balancer.peers.news import News
from services.balancer.peers.tally import Tally
from services.balancer.peers.teller import Teller
from services.balancer.peers.wire import Wire

FIRST_PAUSE_S: Final = 0.1  # before a port is tried again; doubled each time
LONGEST_PAUSE_S: Final = 5.0
_WHERE: Final = "(peers)"  # in place of a cluster's name, which has no such characters

_log = logging.getLogger(__name__)


class Peers:
    """All that is known of other balancers; nothing while `balancers.listen` is empty.

    Resource handling: runs its loops in `group`; `close` ends them, closes the socket and releases
    the views of the ledger.
    Error handling: a port that cannot be had is logged once, shown, and tried again later and
    later; what sources do wrong is kept to be shown.
    """

    def __init__(self, ledger: Ledger, group: asyncio.TaskGroup) -> None:
        self.listen = ""
        self.error: str | None = None  # why there is no socket
        self.watches: dict[str, Watch] = {}
        self.teller: Teller | None = None
        self._sender = int.from_bytes(os.urandom(8))  # another at each start
        ledger.zero_elsewhere()  # what a control plane before this one was told
        cells, rows = ledger.elsewhere(), [ledger.pending(row) for row in range(ledger.rows)]
        self.tally = Tally(cells, self._sender)
        self._news = News(rows)
        self._views = (cells, *rows)
        self._group = group
        self._found: dict[str, frozenset[Address]] = {}  # by source
        self._watching: dict[str, asyncio.Task[None]] = {}
        self._serving: asyncio.Task[None] | None = None
        self._balancers = Balancers()

    @property
    def addresses(self) -> list[Address]:
        """Of all peers, as the sources name them; this balancer itself may be among them."""
        return sorted(frozenset[Address]().union(*self._found.values()))

    # -- the configuration -----------------------------------------------------------------------

    def configure(self, balancers: Balancers, regions: Regions) -> None:
        """Follow it: what has not changed goes on as it is."""
        before, self._balancers = self._balancers, balancers
        if balancers.peers != before.peers:
            self._stop_watching()
            sources = build_all(balancers.peers, regions)
            # Of a source that stays, what it said holds until it has answered again.
            self._found = {name: found for name, found in self._found.items() if name in sources}
            for name, source in sources.items():
                watch = self.watches[name] = Watch(_WHERE, source, partial(self._see, name))
                self._watching[name] = self._group.create_task(watch.run(), name=f"watch {name}")
            self._follow()
        if balancers.listen != before.listen:
            self._stop_serving()
            self.listen = balancers.listen
            if self.listen:
                self._serving = self._group.create_task(
                    self._serve(self.listen), name=f"peers at {self.listen}"
                )

    async def close(self) -> None:
        """Tell and hear nothing more, and let go of the ledger."""
        tasks = {*self._watching.values(), *filter(None, (self._serving,))}
        self._stop_watching()
        self._stop_serving()
        if tasks:
            await asyncio.wait(tasks)
        for view in self._views:
            view.release()

    # -- targets ---------------------------------------------------------------------------------

    def joined(self, target_id: str, slot: int) -> None:
        """A target has a slot; saying so twice does no harm."""
        key = key_of(target_id)
        self.tally.place(key, slot)
        self._news.place(key, slot)

    def left(self, target_id: str, slot: int) -> None:
        """It has none any more."""
        self.tally.remove(key_of(target_id))
        self._news.remove(slot)

    # -- inside ----------------------------------------------------------------------------------

    def _stop_watching(self) -> None:
        for task in self._watching.values():
            task.cancel()
        self._watching.clear()
        self.watches.clear()

    def _see(self, source: str, found: Found) -> None:
        """A source's answer. One that may lack some takes nobody away."""
        known = frozenset() if found.trusted else self._found.get(source, frozenset())
        addresses = found.addresses | known
        if self._found.get(source) != addresses:
            self._found[source] = addresses
            self._follow()

    def _follow(self) -> None:
        addresses = self.addresses
        for host, port in self.tally.welcome(address.host for address in addresses):
            _log.info("peer left", extra={"peer": str(Address(host, port))})
        if self.teller is not None:
            self.teller.follow((address.host, address.port) for address in addresses)

    async def _serve(self, listen: str) -> None:
        """Bind as soon as it can be done, then tell and hear until cancelled."""
        wire = await self._open(listen)
        self.teller = Teller(wire, self._news, self.tally, self._sender)
        try:
            self._follow()
            await self.teller.run()
        finally:
            wire.close()

    async def _open(self, listen: str) -> Wire:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                wire = Wire.open(listen)
            except OSError as error:
                reason = os.strerror(error.errno) if error.errno else str(error)
                if reason != self.error:
                    _log.warning("peers: no socket", extra={"listen": listen, "reason": reason})
                self.error = reason
            else:
                _log.info("peers: listening", extra={"listen": listen})
                self.error = None
                return wire
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _stop_serving(self) -> None:
        if self._serving is not None:
            self._serving.cancel()
            self._serving = None
        self.teller = None
        self.error = None
        self.tally.clear()
