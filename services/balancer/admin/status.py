"""What the supervisor has said, and whether this balancer is ready."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.balancer.config import Config
from services.balancer.messages import ProcessPicture


@dataclass(slots=True)
class Status:
    """The latest of each; `processes` is None until the supervisor has named them."""

    config: Config | None = None
    config_version: int = 0
    columns: dict[str, int] = field(default_factory=dict)  # of clusters in the ledger, by name
    processes: tuple[ProcessPicture, ...] | None = None
    draining: bool = False

    def not_ready(self, first_round_done: bool) -> list[str]:
        """Why clients should go elsewhere; empty when they are welcome.

        Whether targets answer is not part of it: that is their health, not the balancer's.
        """
        reasons: list[str] = []
        if self.draining:
            reasons.append("draining")
        if not any(process.ready for process in self.processes or ()):
            reasons.append("no data-plane process is ready")
        if not first_round_done:
            reasons.append("the first round of health checks is not done")
        return reasons
