"""One target as a data-plane process sees it: who it is, may it be chosen, what is pending."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.balancer.load import Load
from services.balancer.messages import Health, TargetPicture
from services.balancer.room import Room


class Target:
    """One worker address.

    `own` counts this process's pending requests; `held` adds those of the other processes, read
    from shared memory at the moment of asking, and `pending` what other balancers have told. The
    cells are single-writer: only this process writes `own_row[slot]`. `open_to_requests`: healthy,
    not draining, not ejected: eligible while it has room. `proven`: it was healthy once, as far as
    this process has seen. `judge` hears of each failure.
    """

    __slots__ = (
        "draining",
        "ejected",
        "elsewhere",
        "failed_in_row",
        "failures",
        "health",
        "host",
        "id",
        "judge",
        "limit",
        "load",
        "open_to_requests",
        "other_rows",
        "own",
        "own_row",
        "port",
        "proven",
        "room",
        "seen",
        "siblings",
        "slot",
        "version",
        "weight",
    )

    def __init__(
        self,
        picture: TargetPicture,
        *,
        limit: int,
        own_row: memoryview | list[int],
        siblings: tuple[memoryview | list[int], ...] = (),
        elsewhere: memoryview | list[int] | None = None,
        seen: tuple[memoryview | list[int], ...] = (),
    ) -> None:
        self.id = picture.id
        self.host = picture.host
        self.port = picture.port
        self.slot = picture.slot
        self.limit = limit
        self.own_row = own_row
        self.siblings = siblings  # of the other processes of this balancer
        self.other_rows = siblings  # all who have requests there
        self.hear(elsewhere)
        self.seen = seen  # by policies: this process's first, then the siblings'; () without any
        self.own = 0
        self.room = Room()  # its cluster's, once it has joined one
        self.load = Load()
        self.health = Health.UNKNOWN
        self.draining = False
        self.ejected = False
        self.failures = 0  # requests that failed by its fault, since it joined
        self.failed_in_row = 0
        self.judge: Callable[[Any, float, bool], None] | None = None  # of one of our own kind
        self.open_to_requests = False
        self.proven = False
        self.weight = 1
        self.version = 0
        self.see(picture)

    def __repr__(self) -> str:
        drain = ", draining" if self.draining else ""
        out = ", ejected" if self.ejected else ""
        return f"<Target {self.id} {self.health.value}{drain}{out}, pending {self.pending}>"

    def see(self, picture: TargetPicture) -> bool:
        """Take over what the control plane knows. Whether it has returned to health: it is unjudged
        then.
        """
        returned = self.health is Health.UNHEALTHY and picture.health is Health.HEALTHY
        if returned:
            self.load = self.load.fresh()
        self.health = picture.health
        self.draining = picture.draining
        self.weight = picture.weight
        self._open()
        self.proven = self.proven or self.health is Health.HEALTHY
        return returned

    def leave(self) -> None:
        """Gone from the cluster: no new requests; pending ones keep the object until they end."""
        self.draining = True
        self.open_to_requests = False

    def failed(self, now: float, *, unreachable: bool = False) -> None:
        """A request ended by the target's fault; `unreachable`: it took no connection.

        Whoever sees one end well sets `failed_in_row` back to 0.
        """
        self.failures += 1
        self.failed_in_row += 1
        if self.judge is not None:
            self.judge(self, now, unreachable)

    def eject(self, cause: int) -> None:
        """Real requests failed: none for a while."""
        self.ejected = True
        self._open()

    def readmit(self) -> None:
        """The while is over."""
        self.ejected = False
        self.failed_in_row = 0
        self._open()

    def _open(self) -> None:
        healthy = self.health is Health.HEALTHY
        self.open_to_requests = healthy and not self.draining and not self.ejected

    def hear(self, elsewhere: memoryview | list[int] | None) -> None:
        """Where other balancers' pending requests stand; None when they tell nothing."""
        self.elsewhere = elsewhere
        self.other_rows = self.siblings if elsewhere is None else (*self.siblings, elsewhere)

    @property
    def pending(self) -> int:
        """Requests sent to the target and not finished, over all balancers as far as is known."""
        count = self.own
        for row in self.other_rows:
            count += row[self.slot]
        return count

    @property
    def held(self) -> int:
        """Those of this balancer, over all its processes."""
        count = self.own
        for row in self.siblings:
            count += row[self.slot]
        return count

    @property
    def full(self) -> bool:
        """At this balancer's limit of pending requests there."""
        return self.held >= self.limit

    def claim(self) -> bool:
        """Take a place for one request before anything is sent; False when it is refused.

        Draining and full targets refuse. Whether an unhealthy one is asked is its cluster's choice.
        """
        own = self.own
        if self.draining or (self.held if self.siblings else own) >= self.limit:
            return False
        self.own = own = own + 1
        self.own_row[self.slot] = own
        room = self.room
        room.own += 1
        if room.limit:
            room.cell[0] = room.own
        return True

    def release(self) -> None:
        """Give the place back; once for each claim, or the count is wrong and we say so."""
        if self.own <= 0:
            raise RuntimeError(f"release without claim: {self.id}")
        self.own -= 1
        self.own_row[self.slot] = self.own
        room = self.room
        room.own -= 1
        if room.limit:
            room.cell[0] = room.own
        if room.waiting:
            room.wake()
