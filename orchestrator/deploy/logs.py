"""What the containers wrote, from CloudWatch Logs, oldest first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.aws.door import Aws
from orchestrator.deploy.members import Members
from services.contract import PROJECT

_STREAMS: Final = 100  # Source: FilterLogEvents, logStreamNames
# An event may be stored some seconds after its time: `follow` looks back and skips what it has.
_LATE_MS: Final = 30_000


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """Milliseconds since the epoch, the stream (an instance), the id of the event, its text."""

    at_ms: int
    stream: str
    ident: str
    text: str


def streams(now: Members, target: str | None) -> list[str] | None:
    """Pure. The streams of a cluster, of `balancer` or of an instance; None: all.

    A machine that is gone is asked for by its own id.
    """
    if target is None:
        return None
    of_it = [m.ident for m in now.machines if target in (m.cluster, m.resource, m.ident)]
    return of_it[:_STREAMS] or [target]


def read(aws: Aws, deployment: str, wanted: Collection[str] | None, since_ms: int) -> list[Line]:
    """All lines since then, in order. Raises CloudError."""
    limits = {"logStreamNames": list(wanted)} if wanted is not None else {}
    events = aws.pages(
        "logs",
        "filter_log_events",
        "events",
        logGroupName=f"/{PROJECT}/{deployment}",
        startTime=since_ms,
        **limits,
    )
    return sorted(
        Line(e["timestamp"], e["logStreamName"], e["eventId"], e["message"].rstrip("\n"))
        for e in events
    )


class Tail:
    """Lines that were not seen before, look after look."""

    def __init__(
        self, aws: Aws, deployment: str, wanted: Collection[str] | None, since_ms: int
    ) -> None:
        self._aws = aws
        self._deployment = deployment
        self._wanted = wanted
        self._since_ms = since_ms
        self._seen: dict[str, int] = {}  # time by id, of those that could be read again

    def look(self) -> Iterator[Line]:
        """What is new. Raises CloudError."""
        lines = read(self._aws, self._deployment, self._wanted, self._since_ms)
        new = [line for line in lines if line.ident not in self._seen]
        self._seen |= {line.ident: line.at_ms for line in new}
        if lines:
            self._since_ms = max(self._since_ms, lines[-1].at_ms - _LATE_MS)
            self._seen = {i: at for i, at in self._seen.items() if at >= self._since_ms}
        yield from new
