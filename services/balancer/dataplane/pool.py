"""A target as a data-plane process has it: what is counted there, and the connections that rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.balancer.ledger import TargetCell
from services.balancer.messages import TargetPicture
from services.balancer.target import Target

if TYPE_CHECKING:
    from services.balancer.dataplane.forward import TargetConnection
    from services.balancer.dataplane.plane import Plane

_EJECTED: Final = int(TargetCell.EJECTED)
_EJECTIONS: Final = int(TargetCell.EJECTIONS_CONSECUTIVE)
_LATENCY_EWMA: Final = int(TargetCell.LATENCY_EWMA_US)


class PooledTarget(Target):
    """A target with this process's connections to it; the last one used is the next one taken."""

    __slots__ = ("_cells", "_published", "counts", "heard_at", "idle", "probe_after", "reports")

    def __init__(self, picture: TargetPicture, plane: Plane) -> None:
        super().__init__(
            picture,
            limit=plane.limit_of(picture.cluster),
            own_row=plane.own_pending,
            siblings=plane.siblings,
            elsewhere=plane.elsewhere,
            seen=plane.seen,
        )
        self._cells = plane.ledger.target(plane.row, picture.slot)
        # A process that takes over a dead one's row counts on from there.
        self.counts: list[int] = self._cells.tolist()
        self._published = self.counts.copy()
        self.idle: list[TargetConnection] = []
        self.heard_at = 0.0  # its last load report, if the policy wants any
        self.probe_after = 0.0  # not before this
        self.reports = False  # its last answer had a load report

    def take(self) -> TargetConnection | None:
        """An idle connection that is still open; None when a new one must be made."""
        while self.idle:
            connection = self.idle.pop()
            if not connection.lost:
                return connection
        return None

    def eject(self, cause: int) -> None:
        """Counts it, too."""
        super().eject(cause)
        self.counts[_EJECTIONS + cause] += 1

    def publish(self) -> None:
        """Write the counts where the control plane reads them, if they have changed."""
        counts = self.counts
        counts[_EJECTED] = int(self.ejected)
        counts[_LATENCY_EWMA] = int(self.load.estimate_s() * 1e6)
        if counts == self._published:
            return
        self._published = counts.copy()
        for cell, count in enumerate(counts):
            self._cells[cell] = count

    def close_idle(self) -> None:
        """Let go of what rests here: the target has left."""
        while self.idle:
            self.idle.pop().close()
