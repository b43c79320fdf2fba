"""What the other balancers told -> sums by slot. Pure: time is an argument.

Soft state: an entry that was not told again for 3 s counts for nothing, and so does a balancer that
is gone; nobody has to say good-bye. A datagram that another has overtaken is dropped, whatever it
holds: the next repetition makes it good. Entries of targets that this balancer does not have are
ignored, not kept: it hears of them within a second of having them. So memory is bounded by
balancers x targets.
"""

from __future__ import annotations

from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import compress
from typing import Final

from services.balancer.peers.datagram import Datagram, DatagramError, decode

FORGET_S: Final = 3.0
MAX_PEERS: Final = 1_024  # that are heard at the same time

Place = tuple[str, int]  # where a datagram came from: host, port


class Heard(IntEnum):
    """What became of a datagram."""

    NEW = 0  # taken, and its sender was not known
    TAKEN = 1
    OWN = 2
    OVERTAKEN = 3
    STRANGE = 4  # from a host that is not among the peers
    MALFORMED = 5


@dataclass(slots=True)
class Peer:
    """One other balancer, as heard. Times are those that `hear` was given."""

    sender: int
    since: float
    sequence: int = 0  # of the last that was taken
    heard_at: float = 0.0
    datagrams: int = 0
    counts: list[int] = field(default_factory=list)  # by slot
    told_at: list[float] = field(default_factory=list)  # of each of these


class Tally:
    """Keeps `cells` (by slot) at the sum of what all balancers but `own` have told."""

    def __init__(self, cells: MutableSequence[int] | memoryview, own: int) -> None:
        self.peers: dict[Place, Peer] = {}
        self.own_places: set[Place] = set()  # where this balancer hears itself from
        self.changes = 0  # counts that were told and were not so before
        self._cells = cells
        self._own = own
        self._hosts: frozenset[str] = frozenset()
        self._slots: dict[int, int] = {}  # by key
        self._sums: list[int] = []  # by slot

    def __repr__(self) -> str:
        return f"<Tally of {len(self.peers)} peers, {sum(self._sums)} pending>"

    # -- who and what there is -------------------------------------------------------------------

    def welcome(self, hosts: Iterable[str]) -> list[Place]:
        """Hear these hosts alone; returns which of those that were heard are not among them."""
        self._hosts = frozenset(hosts)
        gone = [place for place in self.peers if place[0] not in self._hosts]
        for place in gone:
            self._drop(place)
        return gone

    def place(self, key: int, slot: int) -> None:
        """A target joins."""
        self._slots[key] = slot
        missing = slot + 1 - len(self._sums)
        if missing > 0:
            self._sums += [0] * missing
            for peer in self.peers.values():
                peer.counts += [0] * missing
                peer.told_at += [0.0] * missing

    def remove(self, key: int) -> None:
        """A target leaves, and all that was told of it is void."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        for peer in self.peers.values():
            self._void(peer, slot)

    def clear(self) -> None:
        """Nobody is there."""
        self.own_places.clear()
        for place in list(self.peers):
            self._drop(place)

    # -- what is told ----------------------------------------------------------------------------

    def aged(self, interval_s: float) -> None:
        """So far apart are rounds: news waits for half of one to be told, and for half to be heard.

        In the last of the cells, in microseconds: who reads them can tell how true they are.
        """
        self._cells[-1] = int(interval_s * 1e6)

    def hear(self, place: Place, data: bytes, now: float) -> Heard:
        """Take in one datagram; never raises."""
        try:
            told = decode(data)
        except DatagramError:
            return Heard.MALFORMED if place[0] in self._hosts else Heard.STRANGE
        peer = self.peers.get(place)
        if peer is not None and peer.sender == told.sender:
            if told.sequence <= peer.sequence:
                return Heard.OVERTAKEN
            self._take(peer, told, now)
            return Heard.TAKEN
        return self._meet(place, told, now)

    def expire(self, now: float) -> list[Place]:
        """Forget what was not told again in time; returns who has fallen silent."""
        before = now - FORGET_S
        silent = [place for place, peer in self.peers.items() if peer.heard_at <= before]
        for place in silent:
            self._drop(place)
        for peer in self.peers.values():
            for slot in compress(range(len(peer.counts)), peer.counts):
                if peer.told_at[slot] <= before:
                    self._void(peer, slot)
        return silent

    # -- inside ----------------------------------------------------------------------------------

    def _meet(self, place: Place, told: Datagram, now: float) -> Heard:
        """A sender that was not heard from there before."""
        known = place[0] in self._hosts
        if told.sender == self._own:
            if known:  # else through a translation of addresses: no place to be told at
                self.own_places.add(place)
            return Heard.OWN
        if not known:
            return Heard.STRANGE
        if place in self.peers:  # it has started anew, and knows nothing of what it said before
            self._drop(place)
        elif len(self.peers) >= MAX_PEERS:
            return Heard.STRANGE
        for other in [at for at, one in self.peers.items() if one.sender == told.sender]:
            self._drop(other)  # the same balancer, with another port now
        peer = self.peers[place] = Peer(told.sender, now)
        peer.counts = [0] * len(self._sums)
        peer.told_at = [0.0] * len(self._sums)
        self._take(peer, told, now)
        return Heard.NEW

    def _take(self, peer: Peer, told: Datagram, now: float) -> None:
        peer.sequence = told.sequence
        peer.heard_at = now
        peer.datagrams += 1
        counts, told_at, sums, cells = peer.counts, peer.told_at, self._sums, self._cells
        for slot, count in zip(map(self._slots.get, told.keys), told.counts, strict=True):
            if slot is not None:
                told_at[slot] = now
                if count != counts[slot]:
                    sums[slot] = total = sums[slot] + count - counts[slot]
                    counts[slot] = count
                    self.changes += 1
                    cells[slot] = total

    def _void(self, peer: Peer, slot: int) -> None:
        self._sums[slot] -= peer.counts[slot]
        self._cells[slot] = self._sums[slot]
        peer.counts[slot] = 0

    def _drop(self, place: Place) -> None:
        peer = self.peers.pop(place)
        for slot in compress(range(len(peer.counts)), peer.counts):
            self._void(peer, slot)
