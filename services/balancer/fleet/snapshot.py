"""The picture of the fleet as messages: full runs of slices, and coalesced differences.

What changed is remembered as a set of ids, not as a queue of events: however often a target flips
while the supervisor is busy, it is told the latest once, and memory stays bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from services.balancer.fleet.registry import Member
from services.balancer.messages import (
    SLICE,
    Membership,
    Message,
    ProbeResult,
    Probes,
    TargetPicture,
)

COALESCE_S: Final = 0.02
COALESCE_PROBES_S: Final = 0.05


class Channel(Protocol):
    """What a publisher needs of the hub."""

    slow: bool

    def send(self, message: Message) -> bool:
        """Queue one message; False when refused."""
        ...


def full_run(members: Mapping[str, Member], version: int) -> list[Membership]:
    """The whole picture, the final slice marked `last`; one empty slice for no members."""
    pictures = [member.picture for member in members.values()]
    return [
        Membership(
            version=version,
            full=True,
            last=start + SLICE >= len(pictures),
            upserts=tuple(pictures[start : start + SLICE]),
        )
        for start in range(0, max(len(pictures), 1), SLICE)
    ]


def difference(members: Mapping[str, Member], ids: list[str], version: int) -> Membership:
    """One slice about `ids`: those that are members as they are now, the others removed."""
    upserts: list[TargetPicture] = []
    removes: list[str] = []
    for target_id in ids:
        member = members.get(target_id)
        if member is None:
            removes.append(target_id)
        else:
            upserts.append(member.picture)
    return Membership(
        version=version, full=False, last=True, upserts=tuple(upserts), removes=tuple(removes)
    )


class Publisher:
    """Tells the supervisor, a moment after something changed, as fast as the channel takes it."""

    def __init__(self, channel: Channel, members: Callable[[], Mapping[str, Member]]) -> None:
        self._channel = channel
        self._members = members
        self._version = 0
        self._begun = False  # nothing is told before the first full picture
        self._full_due = False
        self._run: deque[Membership] = deque()
        self._dirty: dict[str, None] = {}  # an ordered set
        self._probes: dict[str, ProbeResult] = {}
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    def full(self) -> None:
        """Tell everything."""
        self._begun = True
        self._full_due = True
        self._later(self.flush, COALESCE_S)

    def changed(self, target_id: str) -> None:
        """Tell about one target that joined, changed or left."""
        self._dirty[target_id] = None
        self._later(self.flush, COALESCE_S)

    def probed(self, result: ProbeResult) -> None:
        """Pass one probe result on; nobody waits for those of a slow channel."""
        self._probes[result.id] = result
        self._later(self._flush_probes, COALESCE_PROBES_S)

    def close(self) -> None:
        """Tell nothing more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def flush(self) -> None:
        """Send what is due; call again when the channel has room."""
        self._timers.pop(self.flush, None)
        if not self._begun:
            return
        if self._full_due:
            self._full_due = False
            self._version += 1
            self._run = deque(full_run(self._members(), self._version))
            self._dirty.clear()
        while self._run:
            if not self._channel.send(self._run[0]):
                return
            self._run.popleft()
        while self._dirty:
            ids = list(self._dirty)[:SLICE]
            if not self._channel.send(difference(self._members(), ids, self._version + 1)):
                return
            self._version += 1
            for target_id in ids:
                del self._dirty[target_id]

    def _flush_probes(self) -> None:
        self._timers.pop(self._flush_probes, None)
        results = list(self._probes.values())
        self._probes.clear()
        for start in range(0, len(results), SLICE):
            if self._channel.slow or not self._begun:
                return
            self._channel.send(Probes(results=tuple(results[start : start + SLICE])))

    def _later(self, do: Callable[[], None], delay_s: float) -> None:
        if do not in self._timers:
            self._timers[do] = asyncio.get_running_loop().call_later(delay_s, do)
