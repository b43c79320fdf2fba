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
from enum import Enum
from typing import Final

from services.balancer.peers.datagram import Datagram, DatagramError, decode

FORGET_S: Final = 3.0
MAX_PEERS: Final = 1_024  # that are heard at the same time

Place = tuple[str, int]  # where a datagram came from: host, port


class Heard(Enum):
    """What became of a datagram."""

    NEW = "new"  # taken, and its sender was not known
    TAKEN = "taken"
    OWN = "own"
    OVERTAKEN = "overtaken"
    STRANGE = "strange"  # from a host that is not among the peers
    MALFORMED = "malformed"


@dataclass(slots=True)
class Peer:
    """One other balancer, as heard. Times are those that `hear` was given."""

    sender: int
    sequence: int
    heard_at: float
    since: float
    datagrams: int = 0
    counts: dict[int, int] = field(default_factory=dict)  # by slot, none of them zero
    told_at: dict[int, float] = field(default_factory=dict)  # of each of these


class Tally:
    """Keeps `cells` (by slot) at the sum of what all balancers but `own` have told."""

    def __init__(self, cells: MutableSequence[int] | memoryview, own: int) -> None:
        self.peers: dict[Place, Peer] = {}
        self.own_places: set[Place] = set()  # where this balancer hears itself from
        self._cells = cells
        self._own = own
        self._hosts: frozenset[str] = frozenset()
        self._slots: dict[int, int] = {}  # by key
        self._sums: dict[int, int] = {}  # by slot

    def __repr__(self) -> str:
        return f"<Tally of {len(self.peers)} peers, {sum(self._sums.values())} pending>"

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

    def remove(self, key: int) -> None:
        """A target leaves, and all that was told of it is void."""
        slot = self._slots.pop(key, None)
        if slot is None:
            return
        for peer in self.peers.values():
            peer.counts.pop(slot, None)
            peer.told_at.pop(slot, None)
        self._sums.pop(slot, None)
        self._cells[slot] = 0

    def clear(self) -> None:
        """Nobody is there."""
        self.own_places.clear()
        for place in list(self.peers):
            self._drop(place)

    # -- what is told ----------------------------------------------------------------------------

    def hear(self, place: Place, data: bytes, now: float) -> Heard:
        """Take in one datagram; never raises."""
        if place[0] not in self._hosts:
            return Heard.STRANGE
        try:
            told = decode(data)
        except DatagramError:
            return Heard.MALFORMED
        if told.sender == self._own:
            self.own_places.add(place)
            return Heard.OWN
        peer = self.peers.get(place)
        new = peer is None or peer.sender != told.sender
        if peer is None or new:
            if peer is not None:  # it has started anew, and knows nothing of what it said before
                self._drop(place)
            elif len(self.peers) >= MAX_PEERS:
                return Heard.STRANGE
            for other in [at for at, one in self.peers.items() if one.sender == told.sender]:
                self._drop(other)  # the same balancer, with another port now
            peer = self.peers[place] = Peer(told.sender, told.sequence, now, now)
        elif told.sequence <= peer.sequence:
            return Heard.OVERTAKEN
        peer.sequence = told.sequence
        peer.heard_at = now
        peer.datagrams += 1
        self._take(peer, told, now)
        return Heard.NEW if new else Heard.TAKEN

    def expire(self, now: float) -> list[Place]:
        """Forget what was not told again in time; returns who has fallen silent."""
        before = now - FORGET_S
        silent = [place for place, peer in self.peers.items() if peer.heard_at <= before]
        for place in silent:
            self._drop(place)
        for peer in self.peers.values():
            for slot in [slot for slot, at in peer.told_at.items() if at <= before]:
                self._void(peer, slot)
        return silent

    # -- inside ----------------------------------------------------------------------------------

    def _take(self, peer: Peer, told: Datagram, now: float) -> None:
        counts, told_at, sums, cells = peer.counts, peer.told_at, self._sums, self._cells
        slots = map(self._slots.get, told.keys)
        for slot, count in zip(slots, told.counts, strict=True):
            if slot is None:
                continue
            before = counts.get(slot, 0)
            if count:
                told_at[slot] = now
                if count == before:
                    continue
                counts[slot] = count
            elif before:
                del counts[slot], told_at[slot]
            else:
                continue
            cells[slot] = sums[slot] = sums.get(slot, 0) + count - before

    def _void(self, peer: Peer, slot: int) -> None:
        self._sums[slot] -= peer.counts.pop(slot)
        del peer.told_at[slot]
        self._cells[slot] = self._sums[slot]

    def _drop(self, place: Place) -> None:
        peer = self.peers.pop(place)
        for slot in list(peer.counts):
            self._void(peer, slot)
