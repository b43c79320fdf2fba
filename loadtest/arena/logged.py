"""The balancer's access log, read back: who came when, where it went, how long it took.

The fields are those of docs/operations.md, chapter "Access log". What cannot be used is counted and
named; a line that is no line of the log is named with its number.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

MOST_LINES: Final = 500_000
MOST_NAMED: Final = 3  # of the broken lines
SERVER_ERROR: Final = 500


class BadLog(ValueError):
    """The log cannot be replayed; the message says why."""


class Line(msgspec.Struct, frozen=True):
    """One line of the log, as far as it is of interest here."""

    arrival: float
    cluster: str | None
    target: str | None
    attempts: int
    connect_s: float | None
    total_s: float
    status: int | None
    ended: str


@dataclass(frozen=True, slots=True)
class Served:
    """One request at its target: seconds since the first arrival; `target` is an index.

    `whole`: it was answered; else it was given up, and asked for more work than it got.
    """

    arrived_s: float
    began_s: float
    ended_s: float
    target: int
    whole: bool

    @property
    def latency_s(self) -> float:
        return self.ended_s - self.arrived_s


@dataclass(frozen=True, slots=True)
class Log:
    """What can be replayed, in order of arrival, of one cluster; `notes` is what to know of it."""

    cluster: str
    targets: tuple[str, ...]
    served: tuple[Served, ...]
    notes: tuple[str, ...]

    @property
    def lasts_s(self) -> float:
        """To the end of the last request."""
        return max(each.ended_s for each in self.served)


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    lines: list[Line] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    count: Counter[str] = field(default_factory=Counter)


def read_log(path: Path, cluster: str = "") -> Log:
    """All of one cluster's requests; without a name the busiest one's. Raises BadLog."""
    reading = _Reading()
    try:
        with path.open("rb") as file:
            for number, text in enumerate(file, start=1):
                if number > MOST_LINES:
                    reading.count[f"the first {MOST_LINES:,} lines alone are read"] = 1
                    break
                _read(reading, number, text)
    except OSError as error:
        raise BadLog(f"{path}: {error.strerror}") from error
    if not reading.lines:
        why = f"; {reading.broken[0]}" if reading.broken else ""
        raise BadLog(f"{path}: no line of a request that a target answered{why}")
    by_cluster = Counter(line.cluster or "" for line in reading.lines)
    chosen = cluster or by_cluster.most_common(1)[0][0]
    if chosen not in by_cluster:
        raise BadLog(f"{path}: no cluster {chosen!r}; there is {', '.join(sorted(by_cluster))}")
    if others := by_cluster.total() - by_cluster[chosen]:
        reading.count[f"of other clusters than {chosen}, left out"] = others
    mine = sorted(
        (line for line in reading.lines if (line.cluster or "") == chosen),
        key=lambda line: line.arrival,
    )
    return _log(chosen, mine, reading)


def _read(reading: _Reading, number: int, text: bytes) -> None:
    if not text.strip():
        return
    try:
        line = _DECODER.decode(text)
        if line.total_s < 0 or (line.connect_s or 0.0) < 0:
            raise ValueError("a time below 0")
    except ValueError as error:  # msgspec's own are such
        reading.count["broken, left out"] += 1
        if len(reading.broken) < MOST_NAMED:
            reading.broken.append(f"line {number}: {error}")
        return
    if line.target is None or line.ended == "own":
        reading.count["answered by the balancer itself, left out"] += 1
    elif line.ended == "tunnel":
        reading.count["tunnels, left out"] += 1
    else:
        reading.lines.append(line)


_DECODER: Final = msgspec.json.Decoder(Line)


def _log(cluster: str, lines: Sequence[Line], reading: _Reading) -> Log:
    count = reading.count
    names = sorted({line.target or "" for line in lines})
    index = {name: place for place, name in enumerate(names)}
    first_s = lines[0].arrival
    served = []
    for line in lines:
        whole = line.ended == "answered"
        count["given up or cut off, replayed with the work that was done"] += not whole
        count["tried more than once, replayed as if the last target had all of it"] += (
            line.attempts > 1
        )
        count["answered 5xx, replayed as the short requests that they were"] += (
            line.status or 0
        ) >= SERVER_ERROR
        arrived_s = line.arrival - first_s
        began_s = arrived_s + min(line.connect_s or 0.0, line.total_s)
        ended_s = arrived_s + line.total_s
        served.append(Served(arrived_s, began_s, ended_s, index[line.target or ""], whole))
    notes = [f"{number:,} {what}" for what, number in count.items() if number]
    return Log(cluster, tuple(names), tuple(served), (*notes, *reading.broken))
