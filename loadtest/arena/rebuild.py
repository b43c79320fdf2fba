"""From a log to the machines behind it: cores, speed over time, the work of each request. Pure.

A machine of c cores and speed s that shares them among n requests does s x min(n, c) of work a
second, so requests end at the rate s x min(n, c) / (mean work), whatever the work's distribution
(processor sharing is insensitive to it). That is a birth-death process, and its likelihood (Wolff,
"Problems of statistical inference for birth and death queuing models", Operations Research 1965)
says which c fits best and, over each stretch of time, which speed. Where stretches begin and end is
found by PELT (Killick, Fearnhead, Eckley, JASA 2012), a stretch more costing `STRETCH_COST` times
the logarithm of how many there could be.

A request's work is what its machine gave it: the integral of s x min(1, c / n) while it was there.
So the log's own placements, replayed, give the log's own latencies; how good the machines are
guessed shows only where a policy places otherwise. Speeds are known relative to each other alone,
and only while somebody was served: what nobody asked, nobody knows.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import inf, log
from statistics import median
from typing import Final

from loadtest.arena.logged import Log, Served

WIDE: Final = 1 << 20  # cores of a machine that only waits: requests there do not share
CORES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, WIDE)
STRETCH_COST: Final = 2.0
LEAST_BIN_S: Final = 0.1
MOST_BINS: Final = 800
ANSWERS_IN_A_BIN: Final = 3.0
PIECE_BINS: Final = 5
MOST_TURNS: Final = 3  # of cores, then stretches; mostly the second changes nothing


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One machine. `speeds` are (from when, how fast), the first from 0 on; 1 is a usual speed."""

    name: str
    cores: int
    speeds: tuple[tuple[float, float], ...]
    requests: int


@dataclass(frozen=True, slots=True)
class Past:
    """What the log lets one know. `works_s[i]` is the work of request i at speed 1."""

    machines: tuple[Rebuilt, ...]
    works_s: tuple[float, ...]
    mean_s: float


@dataclass(slots=True)
class _Line:
    """One target's time: `at_s[i]` to `at_s[i + 1]` had `pending[i]` requests."""

    at_s: list[float]
    pending: list[int]
    left: list[tuple[float, int]]  # when one was answered, and how many were there until then


@dataclass(frozen=True, slots=True)
class _Fit:
    cores: int
    stretches: list[tuple[float, float, float]]  # from when; answers; core-seconds


def rebuild(past: Log) -> Past:
    """Guess what stood behind the log."""
    by_target: list[list[Served]] = [[] for _ in past.targets]
    for each in past.served:
        by_target[each.target].append(each)
    lines = [_line(served) for served in by_target]
    answers = sum(len(line.left) for line in lines) / len(lines)
    bin_s = max(
        LEAST_BIN_S,
        past.lasts_s / MOST_BINS,
        past.lasts_s * ANSWERS_IN_A_BIN / max(answers, 1.0),
    )
    fits = [_best(line, bin_s, past.lasts_s) for line in lines]
    paces = [
        (core_s + 1e-9) / (done + 1e-9) for fit in fits for _, done, core_s in fit.stretches if done
    ]
    mean_s = median(paces) if paces else 1.0
    machines = tuple(
        Rebuilt(
            name,
            fit.cores,
            # One answer of the usual pace more, so that a stretch without one is no standstill.
            tuple((at_s, (d + 1.0) * mean_s / (r + mean_s)) for at_s, d, r in fit.stretches),
            len(served),
        )
        for name, fit, served in zip(past.targets, fits, by_target, strict=True)
    )
    received = [_received(line, machine) for line, machine in zip(lines, machines, strict=True)]
    works_s = tuple(received[each.target].between(each) for each in past.served)
    return Past(machines, works_s, mean_s)


def _line(served: Sequence[Served]) -> _Line:
    steps = sorted(
        [(each.began_s, 1, False) for each in served]
        + [(each.ended_s, -1, each.whole) for each in served]
    )
    line = _Line([0.0], [0], [])
    now = 0
    for at_s, step, whole in steps:
        if whole:
            line.left.append((at_s, now))
        now += step
        line.at_s.append(at_s)
        line.pending.append(now)
    return line


def _best(line: _Line, bin_s: float, lasts_s: float) -> _Fit:
    """The number of cores that makes the log likeliest, of two alike the smaller; its stretches.

    Cores are compared with a speed of its own for each stretch (at first for each few bins), so
    that a slow hour does not look like a small machine; stretches are found for the likeliest.
    """
    spent = _spent(line, bin_s, lasts_s)
    done = [0.0] * len(spent)
    for at_s, _ in line.left:
        done[min(int(at_s / bin_s), len(done) - 1)] += 1.0
    most = max(line.pending)
    able = [c for at, c in enumerate(CORES) if at == 0 or CORES[at - 1] < most]  # more: no matter
    exposed = {c: [sum(s * min(n, c) for n, s in each.items()) for each in spent] for c in able}
    shared = {c: sum(log(min(n, c)) for _, n in line.left if n) for c in able}
    bins = len(done)
    cuts = [(at, min(at + PIECE_BINS, bins)) for at in range(0, bins, PIECE_BINS)]
    cores = 0
    for _ in range(MOST_TURNS):
        likelihoods = {c: shared[c] + _likelihood(done, exposed[c], cuts) for c in able}
        likeliest = max(likelihoods, key=lambda c: likelihoods[c])
        if likeliest == cores:
            break
        cores = likeliest
        cuts = stretches(done, exposed[cores], STRETCH_COST * log(max(bins, 2)))
    room = exposed[cores]
    return _Fit(cores, [(at * bin_s, sum(done[at:end]), sum(room[at:end])) for at, end in cuts])


def _likelihood(
    done: Sequence[float], exposed: Sequence[float], cuts: Sequence[tuple[int, int]]
) -> float:
    """With a rate of its own between each two cuts."""
    return sum(_fit(sum(done[start:end]), sum(exposed[start:end])) for start, end in cuts)


def _fit(count: float, room: float) -> float:
    """Log likelihood of `count` events in `room` at the rate that fits best, but for constants."""
    return count * (log(count / room) - 1.0) if count > 0 and room > 0 else 0.0


def _spent(line: _Line, bin_s: float, lasts_s: float) -> list[dict[int, float]]:
    """For each bin of time, for how long how many were there."""
    bins: list[dict[int, float]] = [
        defaultdict(float) for _ in range(max(1, int(lasts_s / bin_s) + 1))
    ]
    for (start_s, end_s), pending in zip(pairwise(line.at_s), line.pending, strict=False):
        if pending == 0:
            continue
        for place in range(int(start_s / bin_s), min(int(end_s / bin_s) + 1, len(bins))):
            inside_s = min(end_s, (place + 1) * bin_s) - max(start_s, place * bin_s)
            bins[place][pending] += max(inside_s, 0.0)
    return bins


def stretches(
    done: Sequence[float], exposed: Sequence[float], cost: float
) -> list[tuple[int, int]]:
    """Where the rate of `done` for each of `exposed` changes: stretches [start, end).

    Those that are likeliest where each but the first costs `cost` of log likelihood. PELT: time
    grows with the square of the length where nothing changes.
    """
    dones = [0.0, *accumulate(done)]
    exposures = [0.0, *accumulate(exposed)]
    best = [cost]
    came_from = [0]
    starts = [0]
    for end in range(1, len(dones)):
        values = [
            best[start] + _fit(dones[end] - dones[start], exposures[end] - exposures[start])
            for start in starts
        ]
        top = max(values)
        best.append(top - cost)
        came_from.append(starts[values.index(top)])
        starts = [s for s, value in zip(starts, values, strict=True) if value >= top - cost]
        starts.append(end)
    found = []
    end = len(dones) - 1
    while end > 0:
        found.append((came_from[end], end))
        end = came_from[end]
    return found[::-1]


@dataclass(frozen=True, slots=True)
class _Received:
    """What any request that was there has received by when: linear between `at_s`."""

    at_s: list[float]
    given_s: list[float]

    def until(self, at_s: float) -> float:
        place = bisect_right(self.at_s, at_s) - 1
        if place + 1 >= len(self.at_s):
            return self.given_s[-1]
        left, right = self.at_s[place], self.at_s[place + 1]
        share = (at_s - left) / (right - left) if right > left else 0.0
        return self.given_s[place] + share * (self.given_s[place + 1] - self.given_s[place])

    def between(self, each: Served) -> float:
        return max(self.until(each.ended_s) - self.until(each.began_s), 0.0)


def _received(line: _Line, machine: Rebuilt) -> _Received:
    """Virtual time, as `machine.py` keeps it, with the speed of each moment."""
    cuts = [at_s for at_s, _ in machine.speeds[1:]]
    at_s = sorted([*line.at_s, *cuts])
    given_s = [0.0]
    place, stretch = -1, 0
    starts = [start for start, _ in machine.speeds[1:]] + [inf]
    for start_s, end_s in pairwise(at_s):
        while place + 1 < len(line.at_s) and line.at_s[place + 1] <= start_s:
            place += 1
        while starts[stretch] <= start_s:
            stretch += 1
        pending = max(line.pending[place], 1)
        rate = machine.speeds[stretch][1] * min(1.0, machine.cores / pending)
        given_s.append(given_s[-1] + (end_s - start_s) * rate)
    return _Received(at_s, given_s)
