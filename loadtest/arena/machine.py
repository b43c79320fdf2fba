"""What stands behind a target: cores of a speed, shared by the requests that run there.

n requests on c cores of speed s each advance at s x min(1, c / n): processor sharing, or with
`slots` a fixed number of places and a queue in order of arrival. All advance alike, so one number,
the work that each has received since the machine was idle (virtual time), orders all finishes: a
request of work w that starts at virtual time v finishes at v + w. Arrival and finish cost O(log n),
a change of speed O(1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from loadtest.arena.events import NEVER_S, Events
from loadtest.arena.request import Attempt

ROUNDING_S: Final = 1e-9  # of work: far below any request's, far above what doubles lose
CPU_WINDOW_S: Final = 2.0  # what a worker's CPU figure looks back on


class Mode(Enum):
    """What becomes of a request that arrives."""

    UP = "up"
    FAILING = "failing"  # answered with 500 at once, without work
    REFUSING = "refusing"  # no connection: the process is not there
    HOLE = "hole"  # taken and never answered


class Machine:
    """One machine. `finished(attempt, now)` is called when a request's work is done.

    `nominal` is its speed, `speed` what is left of it now; 0 is frozen. `provided` is its cores,
    `cores` what it may use of them now. `pending` counts what runs
    and what waits.
    """

    __slots__ = (
        "_cpu",
        "_cpu_at",
        "_due",
        "_events",
        "_finished",
        "_heap",
        "_now",
        "_placed",
        "_queue",
        "_rate",
        "_running",
        "_used_then",
        "_virtual",
        "coming",
        "cores",
        "index",
        "mode",
        "nominal",
        "pending",
        "provided",
        "slots",
        "speed",
        "used_s",
        "watch",
    )

    def __init__(
        self,
        index: int,
        events: Events,
        finished: Callable[[Attempt, float], None],
        *,
        cores: int = 1,
        speed: float = 1.0,
        slots: int | None = None,
    ) -> None:
        self.index = index
        self.cores: float = cores
        self.provided = cores
        self.nominal = speed
        self.speed = speed
        self.slots = slots or 1 << 60
        self.mode = Mode.UP
        self.pending = 0
        self.coming = 0  # on their way to it; only an oracle knows
        self.watch: Callable[[Machine], None] | None = None  # told of every change, for oracles
        self._events = events
        self._finished = finished
        self._heap: list[tuple[float, int, Attempt]] = []
        self._queue: deque[Attempt] = deque()
        self._placed = 0
        self._running = 0
        self._virtual = 0.0
        self._now = 0.0
        self._rate = speed
        self._due = NEVER_S  # of the earliest look that is already asked for
        self.used_s = 0.0  # core-seconds, up to the last change or `bring_up`
        self._used_then = 0.0  # at `_cpu_at`
        self._cpu = 0.0
        self._cpu_at = 0.0

    def __repr__(self) -> str:
        return f"<Machine {self.index}: {self.cores} x {self.speed:g}, pending {self.pending}>"

    def place(self, attempt: Attempt, now: float) -> None:
        """A request arrived."""
        self._advance(now)
        self.pending += 1
        running = self._running
        if running < self.slots:
            attempt.running = True
            self._placed = placed = self._placed + 1
            virtual = self._virtual
            heap = self._heap
            heappush(heap, (virtual + attempt.work_s, placed, attempt))
            self._running = running = running + 1
            cores = self.cores
            rate = self._rate
            if running > cores:
                self._rate = rate = self.speed * cores / running
            first = heap[0]
            if first[2].gone:
                self._look_ahead()
            elif rate > 0.0:  # `_look_ahead`, written out: this runs for every request
                left = first[0] - virtual
                due = now + left / rate if left > 0.0 else now
                if due < self._due:
                    self._due = due
                    self._events.at(due, self._look, due)
        else:
            self._queue.append(attempt)
        if self.watch is not None:
            self.watch(self)

    def cancel(self, attempt: Attempt, now: float) -> None:
        """The balancer has hung up: what is left of this request's work is not done."""
        self._advance(now)
        attempt.gone = True  # it stays where it is and is passed over
        self.pending -= 1
        if attempt.running:
            self._running -= 1
            self._refill()
            self._look_ahead()
        if self.watch is not None:
            self.watch(self)

    def drop_all(self, now: float) -> list[Attempt]:
        """The process died: everything it had in hand is lost. Returns that."""
        self._advance(now)
        lost = [a for _, _, a in self._heap if not a.gone] + [a for a in self._queue if not a.gone]
        self._heap.clear()
        self._queue.clear()
        self._running = 0
        self.pending = 0
        self._virtual = 0.0
        self._set_rate()
        if self.watch is not None:
            self.watch(self)
        return lost

    def set_speed(self, speed: float, now: float) -> None:
        """From now on each core does `speed` seconds of work a second."""
        self._advance(now)
        self.speed = speed
        self._set_rate()
        self._look_ahead()
        if self.watch is not None:
            self.watch(self)

    def grant(self, cores: float, now: float) -> None:
        """From now on this many cores may be used, of those provided; not a whole number always."""
        if cores != self.cores:
            self._advance(now)
            self.cores = cores
            self._set_rate()
            self._look_ahead()
            if self.watch is not None:
                self.watch(self)

    def bring_up(self, now: float) -> None:
        """Count what was used until now."""
        self._advance(now)

    def set_mode(self, mode: Mode) -> None:
        """What becomes of requests that arrive from now on."""
        self.mode = mode
        if self.watch is not None:
            self.watch(self)

    def cpu(self, now: float) -> float:
        """The share of its cores that was in use lately, 0 to 1, as a worker would report it.

        Looked at often it is refreshed every CPU_WINDOW_S; in between it is as old as that.
        """
        if now - self._cpu_at >= CPU_WINDOW_S:
            self._advance(now)
            self._cpu = (self.used_s - self._used_then) / (self.provided * (now - self._cpu_at))
            self._used_then = self.used_s
            self._cpu_at = now
        return self._cpu

    def _start(self, attempt: Attempt) -> None:
        attempt.running = True
        self._placed = placed = self._placed + 1
        heappush(self._heap, (self._virtual + attempt.work_s, placed, attempt))
        self._running += 1
        if self._running > self.cores:
            self._set_rate()

    def _refill(self) -> None:
        queue = self._queue
        while queue and self._running < self.slots:
            attempt = queue.popleft()
            if not attempt.gone:
                self._start(attempt)
        self._set_rate()

    def _set_rate(self) -> None:
        running = self._running
        self._rate = self.speed if running <= self.cores else self.speed * self.cores / running

    def _advance(self, now: float) -> None:
        elapsed = now - self._now
        if elapsed > 0.0:
            running = self._running
            if running:
                self._virtual += elapsed * self._rate
                self.used_s += elapsed * (running if running < self.cores else self.cores)
            else:
                self._virtual = 0.0  # starts over, so that rounding does not grow with time
                if self._heap:
                    self._heap.clear()  # cancelled ones only
            self._now = now

    def _look_ahead(self) -> None:
        """Ask to be called when the next request finishes, unless a call comes before that."""
        heap = self._heap
        while heap and heap[0][2].gone:
            heappop(heap)
        if heap and self._rate > 0.0:
            due = self._now + max(heap[0][0] - self._virtual, 0.0) / self._rate
            if due < self._due:
                self._due = due
                self._events.at(due, self._look, due)

    def _look(self, now: float, due: float) -> None:
        if due != self._due:
            return  # an earlier one was asked for since, and has come
        self._due = NEVER_S
        self._advance(now)
        heap = self._heap
        limit = self._virtual + ROUNDING_S
        done: list[Attempt] = []
        while heap and heap[0][0] <= limit:
            attempt = heappop(heap)[2]
            if not attempt.gone:
                done.append(attempt)
        if done:
            self._running -= len(done)
            self.pending -= len(done)
            if self._queue:
                self._refill()
            else:
                self._set_rate()
        if heap:
            self._look_ahead()
        if done:
            if self.watch is not None:
                self.watch(self)
            for attempt in done:
                self._finished(attempt, now)
