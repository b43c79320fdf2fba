"""The fleet's picture as the supervisor keeps it, and what each child is still to be told of it.

The control plane speaks once; the supervisor merges what it says and feeds every child at the
child's own pace. A child that falls behind is owed a new full picture, not a longer queue, so a
stuck one costs a bounded amount of memory. Versions are given here: they only rise, also over
restarts of the control plane, and each full run has one of its own.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from services.balancer.messages import (
    SLICE,
    Configure,
    Membership,
    Message,
    Probes,
    Processes,
    TargetPicture,
)

MAX_QUEUED: Final = 1024  # differences that wait for a slow child before a full picture is cheaper


class FleetPicture:
    """All targets by id, as last told by the control plane."""

    def __init__(self) -> None:
        self.targets: dict[str, TargetPicture] = {}
        self.known = False  # a full picture has been seen
        self._run: dict[str, TargetPicture] | None = None  # a full run that is still coming in
        self._versions = itertools.count(1)

    def apply(self, message: Membership) -> bool:
        """Merge one slice; True when it completed a full picture (which replaces the old one)."""
        if not message.full:
            for targets in (self.targets, self._run or {}):
                for target_id in message.removes:
                    targets.pop(target_id, None)
                for target in message.upserts:
                    targets[target.id] = target
            return False
        if self._run is None:
            self._run = {}
        for target in message.upserts:
            self._run[target.id] = target
        if not message.last:
            return False
        self.targets, self._run, self.known = self._run, None, True
        return True

    def inherit(self, targets: Iterable[TargetPicture]) -> None:
        """Begin with what a supervisor before this one knew, if it knew anything."""
        self.targets = {target.id: target for target in targets}
        self.known = bool(self.targets)

    def forget_run(self) -> None:
        """The control plane died; what it was in the middle of saying is void."""
        self._run = None

    def next_version(self) -> int:
        """A version higher than all before."""
        return next(self._versions)

    def full_run(self) -> Iterator[Membership]:
        """The whole picture as slices, the final one marked `last`; one slice when it is empty."""
        version = self.next_version()
        targets = list(self.targets.values())
        for start in range(0, max(len(targets), 1), SLICE):
            yield Membership(
                version=version,
                full=True,
                last=start + SLICE >= len(targets),
                upserts=tuple(targets[start : start + SLICE]),
            )


class Channel(Protocol):
    """What a feed needs of a hub."""

    slow: bool

    def send(self, message: Message) -> bool:
        """Queue one message; False when refused."""
        ...


class Feed:
    """What one child is still to be told, in order: the configuration, the picture, the processes.

    A control plane begins its work at the first Processes, so the picture from before a restart
    must be there by then. Of Configure and Processes only the latest matters. Probes are worth
    nothing later: a slow child never gets them.
    """

    def __init__(self, channel: Channel, picture: FleetPicture) -> None:
        self._channel = channel
        self._picture = picture
        self._configure: Configure | None = None
        self._processes: Processes | None = None
        self._queue: deque[Membership] = deque()
        self._full_due = False

    def __repr__(self) -> str:
        full = ", full picture due" if self._full_due else ""
        return f"<Feed {len(self._queue)} queued{full}>"

    def tell(self, message: Configure | Processes) -> None:
        """Say this next, in place of an earlier message of the kind that was not sent yet."""
        if isinstance(message, Configure):
            self._configure = message
        else:
            self._processes = message
        self.pump()

    def full(self) -> None:
        """The child needs the whole picture, once the channel has room."""
        self._queue.clear()
        self._full_due = True
        self.pump()

    def membership(self, difference: Membership) -> None:
        """Pass on one difference that is already part of the picture."""
        if self._full_due:
            return  # it will be in there
        if len(self._queue) >= MAX_QUEUED:
            self.full()
            return
        self._queue.append(difference)
        self.pump()

    def probes(self, message: Probes) -> None:
        """Pass on probe results, now or never."""
        if not self._channel.slow:
            self._channel.send(message)

    def pump(self) -> None:
        """Send as much as the channel takes; call again when it has room."""
        channel = self._channel
        while not channel.slow:
            if self._configure is not None:
                if not channel.send(self._configure):
                    return
                self._configure = None
            elif self._full_due:
                self._queue.extend(self._picture.full_run())
                self._full_due = False
            elif self._queue:
                if not channel.send(self._queue[0]):
                    return
                self._queue.popleft()
            elif self._processes is not None:
                if not channel.send(self._processes):
                    return
                self._processes = None
            else:
                return
