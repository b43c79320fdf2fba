"""What a request takes, by the pending count that it met. Pure: time is an argument.

The target's estimate of Prequal (Wydrowski, Kleinberg, Rumble, Archer: "Load is not what you
should balance", NSDI 2024): each finished request's latency is tagged with the pending count at its
arrival; a probe is answered with the median of recent latencies near the present pending count.
"""

from __future__ import annotations

from collections import deque
from typing import Final

SAMPLES_PER_LEVEL: Final = 16  # per level of pending; the median of 16 is steady enough
MIN_SAMPLES: Final = 5  # look at neighbouring levels until there are as many
MAX_AGE_S: Final = 10.0  # older latencies say nothing of the machine as it is now
EXACT_LEVELS: Final = 16  # pending 0..15 each has a level; above, four to a doubling
LEVELS: Final = 64  # the last one holds everything above about 60,000
RATE_WINDOW_S: Final = 60


def level_of(pending: int) -> int:
    """Return the level of a pending count: exact below 16, then four levels to a doubling."""
    if pending < EXACT_LEVELS:
        return max(pending, 0)
    exponent = pending.bit_length() - 1  # 4 for 16..31
    quarter = (pending >> (exponent - 2)) & 3
    return min(EXACT_LEVELS + 4 * (exponent - 4) + quarter, LEVELS - 1)


class LatencyAtPending:
    """Recent latencies by level of pending; at most LEVELS x SAMPLES_PER_LEVEL samples.

    Times are seconds on one monotonic clock, which must not go back.
    """

    __slots__ = ("_latencies", "_times")

    def __init__(self) -> None:
        self._times: dict[int, deque[float]] = {}  # by level; none is empty for long
        self._latencies: dict[int, deque[float]] = {}  # of the same requests

    def record(self, now_s: float, pending: int, latency_s: float) -> None:
        """Keep the latency of a request that met `pending` others when it arrived."""
        level = level_of(pending)
        times = self._times.get(level)
        if times is None:
            times = self._times[level] = deque(maxlen=SAMPLES_PER_LEVEL)
            self._latencies[level] = deque(maxlen=SAMPLES_PER_LEVEL)
        times.append(now_s)
        self._latencies[level].append(latency_s)

    def median_s(self, now_s: float, pending: int) -> float | None:
        """Return the median latency near `pending`, in seconds; None when nothing is known.

        Starts at the level of `pending` and widens by one on both sides until MIN_SAMPLES recent
        samples are found. Reading changes nothing but to forget what is too old.
        """
        levels = self._times
        if not levels:
            return None
        centre = level_of(pending)
        oldest_s = now_s - MAX_AGE_S
        found: list[float] = []
        self._collect(centre, oldest_s, found)
        lowest, highest = min(levels, default=centre), max(levels, default=centre)
        below = above = centre
        while len(found) < MIN_SAMPLES and (below > lowest or above < highest):
            below -= 1
            above += 1
            self._collect(below, oldest_s, found)
            self._collect(above, oldest_s, found)
        if not found:
            return None
        found.sort()
        middle = len(found) // 2
        return found[middle] if len(found) % 2 else (found[middle - 1] + found[middle]) / 2

    def _collect(self, level: int, oldest_s: float, found: list[float]) -> None:
        times = self._times.get(level)
        if times is None:
            return
        latencies = self._latencies[level]
        if times[0] < oldest_s:
            while times and times[0] < oldest_s:
                times.popleft()
                latencies.popleft()
            if not times:
                del self._times[level], self._latencies[level]
        found += latencies


class RequestRate:
    """Requests a second, as the mean over the last minute (or since start, when younger)."""

    __slots__ = ("_counts", "_seconds", "_started_s")

    def __init__(self, now_s: float) -> None:
        self._started_s = now_s
        self._counts = [0] * RATE_WINDOW_S
        self._seconds = [-1] * RATE_WINDOW_S  # the second that each count belongs to

    def record(self, now_s: float) -> None:
        """Count one request at `now_s`."""
        second = int(now_s)
        slot = second % RATE_WINDOW_S
        if self._seconds[slot] != second:
            self._seconds[slot] = second
            self._counts[slot] = 0
        self._counts[slot] += 1

    def per_second(self, now_s: float) -> float:
        """Return the mean rate over the last minute, the present second included."""
        oldest = int(now_s) - RATE_WINDOW_S
        total = sum(
            count
            for second, count in zip(self._seconds, self._counts, strict=True)
            if second > oldest
        )
        return total / min(max(now_s - self._started_s, 1.0), float(RATE_WINDOW_S))
