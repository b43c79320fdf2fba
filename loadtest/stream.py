"""k6's sample stream -> samples, one per request.

k6 writes CSV rows `metric_name,timestamp,metric_value,<system tags>,extra_tags,metadata`, about
fourteen for every request, with the time in microseconds (K6_CSV_TIME_FORMAT=unix_micro). Each row
bears the time at which what it measures had ended:

- `http_req_duration` in ms: the request, from its connection's being there to its last byte,
- `iteration_duration` in ms: one turn of the script, which is one request.

The load began with the first turn. The request's own rows do not say when: on a new connection
`http_req_blocked` and `http_req_duration` overlap (k6, lib/netext/httpext/tracer.go: until GotConn,
and from ConnectDone), so that their sum may reach back before the run.

This costs k6 about a quarter more CPU a request than no output at all; rows are handed over every
half second, so that a run of a thousand requests is over before the first row is written.
"""

from __future__ import annotations

import csv
from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MOST_TARGETS: Final = 1000  # a target that calls itself differently each time cannot fill memory
OTHER_TARGETS: Final = "(others)"
OK: Final = 200

# k6's error codes (k6 documentation, "Error codes"), in words; families by their hundreds.
ERROR_WORDS: Final = {
    1050: "timeout",
    1101: "name not found",
    1201: "broken pipe",
    1211: "connect timeout",
    1212: "connection refused",
    1220: "connection reset",
}
ERROR_FAMILIES: Final = {
    10: "network error",  # a connection closed before its response is one of these
    11: "name resolution error",
    12: "connection error",
    13: "TLS error",
    16: "HTTP/2 error",
    17: "decompression error",
}


def failure_cause(status: int, error_code: int) -> str:
    """Why a request counts as failed, in a few words."""
    if status:
        return f"status {status}"
    if error_code in ERROR_WORDS:
        return ERROR_WORDS[error_code]
    return ERROR_FAMILIES.get(error_code // 100, f"k6 error {error_code}")


@dataclass(slots=True)
class Samples:
    """What is known of one cluster's requests, in the order in which they ended.

    ended_s: seconds since the Unix epoch; latency_ms: ms; status: 0 where no response came.
    turn_began_s: when k6 turned to the first request; inf until it has completed one of its turns.
    targets: answers with status 200 by target.
    """

    ended_s: array[float] = field(default_factory=lambda: array("d"))
    latency_ms: array[float] = field(default_factory=lambda: array("d"))
    status: array[int] = field(default_factory=lambda: array("h"))
    error_code: array[int] = field(default_factory=lambda: array("h"))
    turn_began_s: float = float("inf")
    targets: Counter[str] = field(default_factory=Counter)
    dropped: int = 0  # arrivals that k6 had no free virtual user for

    def __len__(self) -> int:
        return len(self.ended_s)


class SampleStream:
    """Fed with bytes as they come; `clusters` holds the samples of each k6 scenario."""

    def __init__(self, clusters: tuple[str, ...]) -> None:
        self.clusters: dict[str, Samples] = {name: Samples() for name in clusters}
        self._rest = b""
        self._columns: dict[str, int] = {}
        self._row_of = {
            b"http_req_duration": self._duration,
            b"iteration_duration": self._turn,
            b"checks": self._check,
            b"dropped_iterations": self._dropped,
        }

    def feed(self, piece: bytes) -> None:
        """Rows may be cut anywhere between two pieces. Rows of no interest cost one look."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        row_of = self._row_of
        for line in lines:
            name = line[: line.find(b",")]
            if (handle := row_of.get(name)) is not None:
                if self._columns:
                    handle(_fields(line))
            elif name == b"metric_name":
                self._columns = {column: at for at, column in enumerate(_fields(line))}

    def _tag(self, fields: list[str], column: str) -> str:
        at = self._columns.get(column, -1)
        return fields[at] if 0 <= at < len(fields) else ""

    def _duration(self, fields: list[str]) -> None:
        samples = self.clusters.get(self._tag(fields, "scenario"))
        if samples is None:
            return
        samples.ended_s.append(int(fields[1]) / 1e6)
        samples.latency_ms.append(float(fields[2]))
        samples.status.append(_number(self._tag(fields, "status")))
        samples.error_code.append(_number(self._tag(fields, "error_code")))

    def _turn(self, fields: list[str]) -> None:
        samples = self.clusters.get(self._tag(fields, "scenario"))
        if samples is not None:
            began_s = int(fields[1]) / 1e6 - float(fields[2]) / 1e3
            samples.turn_began_s = min(samples.turn_began_s, began_s)

    def _check(self, fields: list[str]) -> None:
        samples = self.clusters.get(self._tag(fields, "scenario"))
        if samples is None or float(fields[2]) == 0:
            return
        tags = dict(
            pair.split("=", 1) for pair in self._tag(fields, "extra_tags").split("&") if "=" in pair
        )
        if target := tags.get("target"):
            known = target in samples.targets or len(samples.targets) < MOST_TARGETS
            samples.targets[target if known else OTHER_TARGETS] += 1

    def _dropped(self, fields: list[str]) -> None:
        if (samples := self.clusters.get(self._tag(fields, "scenario"))) is not None:
            samples.dropped += round(float(fields[2]))


def _fields(line: bytes) -> list[str]:
    text = line.decode("utf-8", errors="replace").rstrip("\r")
    return next(csv.reader([text])) if '"' in text else text.split(",")


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 5 else 0
