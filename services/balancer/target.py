"""One target as a data-plane process sees it: who it is, may it be chosen, what is pending."""

from __future__ import annotations

from services.balancer.load import Load
from services.balancer.messages import Health, TargetPicture


class Target:
    """One worker address.

    `own` counts this process's pending requests; `pending` adds those of the other processes, read
    from shared memory at the moment of asking. The cells are single-writer: only this process
    writes `own_row[slot]`. `open_to_requests`: healthy and not draining, so it is eligible while it
    has room. `proven`: it was healthy once, as far as this process has seen.
    """

    __slots__ = (
        "draining",
        "health",
        "host",
        "id",
        "limit",
        "load",
        "open_to_requests",
        "other_rows",
        "own",
        "own_row",
        "port",
        "proven",
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
        other_rows: tuple[memoryview | list[int], ...] = (),
    ) -> None:
        self.id = picture.id
        self.host = picture.host
        self.port = picture.port
        self.slot = picture.slot
        self.limit = limit
        self.own_row = own_row
        self.other_rows = other_rows
        self.own = 0
        self.load = Load()
        self.health = Health.UNKNOWN
        self.draining = False
        self.open_to_requests = False
        self.proven = False
        self.weight = 1
        self.version = 0
        self.see(picture)

    def __repr__(self) -> str:
        drain = ", draining" if self.draining else ""
        return f"<Target {self.id} {self.health.value}{drain}, pending {self.pending}>"

    def see(self, picture: TargetPicture) -> None:
        """Take over what the control plane knows. One that returns to health starts unjudged."""
        if self.health is Health.UNHEALTHY and picture.health is Health.HEALTHY:
            self.load = self.load.fresh()
        self.health = picture.health
        self.draining = picture.draining
        self.weight = picture.weight
        self.open_to_requests = self.health is Health.HEALTHY and not self.draining
        self.proven = self.proven or self.health is Health.HEALTHY

    def leave(self) -> None:
        """Gone from the cluster: no new requests; pending ones keep the object until they end."""
        self.draining = True
        self.open_to_requests = False

    @property
    def pending(self) -> int:
        """Requests sent to the target and not finished, over all processes of this balancer."""
        count = self.own
        for row in self.other_rows:
            count += row[self.slot]
        return count

    @property
    def full(self) -> bool:
        """At its limit of pending requests."""
        return self.pending >= self.limit

    def claim(self) -> bool:
        """Take a place for one request before anything is sent; False when it is refused.

        Draining and full targets refuse. Whether an unhealthy one is asked is its cluster's choice.
        """
        own = self.own
        if self.draining or (self.pending if self.other_rows else own) >= self.limit:
            return False
        self.own = own = own + 1
        self.own_row[self.slot] = own
        return True

    def release(self) -> None:
        """Give the place back; once for each claim, or the count is wrong and we say so."""
        if self.own <= 0:
            raise RuntimeError(f"release without claim: {self.id}")
        self.own -= 1
        self.own_row[self.slot] = self.own
