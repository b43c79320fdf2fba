"""The loop: in each round it hears all that has come and tells what is new.

Nothing wakes it between rounds. To be woken for each datagram would make the news half a round
younger and every datagram several times as dear, so that rounds would have to be further apart.
What a balancer hears of itself shows which of the addresses is its own; that is told no more.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from typing import Final

from services.balancer.address import Address
from services.balancer.peers.datagram import encode
from services.balancer.peers.news import News
from services.balancer.peers.pace import Pace
from services.balancer.peers.tally import Heard, Place, Tally
from services.balancer.peers.wire import Wire

MOST: Final = 512  # datagrams that are heard before others on this loop have their turn
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
        self.rounds = 0
        self.heard = [0] * len(Heard)  # by what became of it
        self._news = news
        self._tally = tally
        self._sender = sender
        self._clock = clock
        self._cpu = cpu
        self._sequence = 0
        self._others: list[Place] = []
        self._expire_at = 0.0

    def follow(self, places: Iterable[Place]) -> None:
        """Who is to be told: all of these from now on, but this balancer itself."""
        self._others = [place for place in places if place not in self._tally.own_places]
        self.wire.errors.clear()
        self._news.repeat()

    async def run(self) -> None:
        """Until cancelled. Leaves the wire open."""
        while True:
            self.round()
            await asyncio.sleep(self.pace.pause_s)

    def round(self) -> None:
        """Hear and tell once. What is repeated is no news: a request may be pending for days."""
        began = self._cpu()
        now = self._clock()
        known = self._tally.changes + self._news.changes
        self.hear(now)
        self.tell(now)
        self.rounds += 1
        news = self._tally.changes + self._news.changes != known
        self.pace.round_ended(self._cpu() - began, now, news=news)
        self._tally.aged(self.pace.interval_s)

    def hear(self, now: float) -> None:
        """Take in all that has come, and forget what is too old."""
        for _ in range(MOST):
            received = self.wire.receive()
            if received is None:
                break
            data, place = received
            heard = self._tally.hear(place, data, now)
            self.heard[heard] += 1
            if heard is not Heard.TAKEN:
                self._note(heard, place)
        if now >= self._expire_at:
            self._expire_at = now + EXPIRE_S
            for place in self._tally.expire(now):
                _log.warning("peer silent", extra={"peer": str(Address(*place))})

    def tell(self, now: float) -> None:
        """Everybody what is due."""
        entries = self._news.due(now)
        if entries is None:
            return
        datagrams = encode(self._sender, self._sequence, entries)
        self._sequence += len(datagrams)
        for place in self._others:
            for data in datagrams:
                self.wire.send(data, place)

    def _note(self, heard: Heard, place: Place) -> None:
        if heard is Heard.NEW:
            _log.info("peer heard", extra={"peer": str(Address(*place))})
            self._news.repeat()  # it may not know what we have pending
        elif heard is Heard.OWN and place in self._others:
            self._others.remove(place)
