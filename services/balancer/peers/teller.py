"""The loop that tells and hears: hears whenever something comes, tells in rounds.

What a balancer hears of itself shows which of the addresses is its own; it is told no more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from services.balancer.address import Address
from services.balancer.peers.datagram import encode
from services.balancer.peers.news import News
from services.balancer.peers.pace import Pace
from services.balancer.peers.tally import Heard, Place, Tally
from services.balancer.peers.wire import Wire

AT_ONCE: Final = 64  # datagrams that are heard before others on this loop have their turn
EXPIRE_S: Final = 0.25

_log = logging.getLogger(__name__)


class Teller:
    """Tells `news` to everybody over `wire`, and `tally` what comes in.

    `clock` is the time that passes; `cpu` is that of this thread, of which a share may be spent.
    """

    def __init__(
        self,
        wire: Wire,
        news: News,
        tally: Tally,
        sender: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        cpu: Callable[[], float] = time.thread_time,
    ) -> None:
        self.wire = wire
        self.pace = Pace()
        self.heard: Counter[Heard] = Counter()
        self._news = news
        self._tally = tally
        self._sender = sender
        self._clock = clock
        self._cpu = cpu
        self._sequence = 0
        self._others: list[Place] = []
        self._spent_s = 0.0  # since the last round
        self._expire_at = 0.0

    def follow(self, places: Iterable[Place]) -> None:
        """Who is to be told: all of these from now on, but this balancer itself."""
        self._others = [place for place in places if place not in self._tally.own_places]
        self._news.repeat()

    async def run(self) -> None:
        """Until cancelled. Leaves the wire open."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self.wire.sock, self.hear)
        try:
            while True:
                self.tell()
                await asyncio.sleep(self.pace.pause_s)
        finally:
            self.stop_hearing()

    def stop_hearing(self) -> None:
        """At once, whatever has come already."""
        asyncio.get_running_loop().remove_reader(self.wire.sock)

    def tell(self) -> None:
        """One round."""
        began = self._cpu()
        now = self._clock()
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_S
            for place in self._tally.expire(now):
                _log.warning("peer silent", extra={"peer": str(Address(*place))})
        entries = self._news.due(now)
        if entries is not None:
            datagrams = encode(self._sender, self._sequence, entries)
            self._sequence += len(datagrams)
            for place in self._others:
                for data in datagrams:
                    self.wire.send(data, place)
        spent_s = self._spent_s + self._cpu() - began
        self._spent_s = 0.0
        self.pace.round_ended(spent_s, news=bool(entries))

    def hear(self) -> None:
        """Take in what has come, some of it if it is much."""
        began = self._cpu()
        now = self._clock()
        for _ in range(AT_ONCE):
            received = self.wire.receive()
            if received is None:
                break
            data, place = received
            heard = self._tally.hear(place, data, now)
            self.heard[heard] += 1
            if heard is not Heard.TAKEN:
                self._note(heard, place)
        self._spent_s += self._cpu() - began

    def _note(self, heard: Heard, place: Place) -> None:
        if heard is Heard.NEW:
            _log.info("peer heard", extra={"peer": str(Address(*place))})
            self._news.repeat()  # it may not know what we have pending
        elif heard is Heard.OWN and place in self._others:
            self._others.remove(place)
