"""A modelled machine: processor sharing and CPU credits. Pure: time is an argument.

n jobs share the vCPUs evenly, none getting more than one. Every job present advances at the same
rate, so one number, the work that each has received (virtual time), orders all finishes: a job that
arrives at virtual time v with demand d finishes at v + d. Arrival and departure cost O(log n).

A burstable type (AWS T2, T3) has an account of CPU credits. One credit is one vCPU at 100 % for a
minute; the account earns the baseline all the time and pays for what is used. When it is empty, a
standard instance is held to the baseline (the account stays at 0), an unlimited one goes on.
Source of the figures: "Burstable performance instances", Amazon EC2 user guide. T2 instances start
with 30 launch credits a vCPU; T3 are unlimited by default.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from typing import Final

CREDIT_S: Final = 60.0  # vCPU-seconds in a credit
LAUNCH_CREDITS_PER_VCPU: Final = 30.0  # T2 only
TICK_S: Final = 1e-6  # far above the resolution of a clock that has run for years
MAX_CREDIT_HOURS: Final = 24.0  # an account holds at most what it earns in a day


@dataclass(frozen=True, slots=True)
class MachineType:
    """What a machine can do. `baseline` is a share of each vCPU; 1.0 never throttles."""

    name: str
    vcpus: int
    baseline: float = 1.0
    launch_credits: float = 0.0
    unlimited: bool = False
    speed: float = 1.0

    @property
    def earned(self) -> float:
        """Credits earned, as vCPUs that may be used for ever (36 an hour is 0.6)."""
        return self.baseline * self.vcpus

    @property
    def max_balance_s(self) -> float:
        """What the account can hold, in vCPU-seconds."""
        day_s = self.earned * MAX_CREDIT_HOURS * 3600
        return max(day_s, self.launch_credits * CREDIT_S)


def _t2(size: str, vcpus: int, baseline: float) -> MachineType:
    return MachineType(f"t2.{size}", vcpus, baseline, LAUNCH_CREDITS_PER_VCPU * vcpus)


def _t3(size: str, baseline: float) -> MachineType:
    return MachineType(f"t3.{size}", 2, baseline, 0.0, unlimited=True)


TYPES: Final = {
    kind.name: kind
    for kind in (
        _t2("nano", 1, 0.05),
        _t2("micro", 1, 0.10),
        _t2("small", 1, 0.20),
        _t2("medium", 2, 0.20),
        _t2("large", 2, 0.30),
        _t3("nano", 0.05),
        _t3("micro", 0.10),
        _t3("small", 0.20),
        _t3("medium", 0.20),
        _t3("large", 0.30),
    )
}


class Machine:
    """Jobs, speed and credits. Every method takes the time (s, monotonic), which must not go back.

    Call `advance` before `arrive`, `leave` or `set_factor` at the same time, or take the finished
    jobs from it later: none is lost.
    """

    def __init__(self, kind: MachineType, now_s: float, credits: float | None = None) -> None:
        self.kind = kind
        self.factor = 1.0
        started = kind.launch_credits if credits is None else credits
        self.balance_s = min(started * CREDIT_S, kind.max_balance_s)
        self.work_done_s = 0.0  # of one vCPU at speed 1
        self.used_s = 0.0  # what was used of what the machine might use, in vCPU-seconds
        self.usable_s = 0.0
        self.stolen_s = 0.0  # wanted and withheld: throttled, or taken by an antagonist
        self._now_s = now_s
        self._virtual_s = 0.0
        self._next_job = 0
        self._heap: list[tuple[float, int]] = []
        self._present: dict[int, float] = {}  # job -> virtual time of its finish
        self._finished: list[int] = []

    @property
    def jobs(self) -> int:
        """Jobs in progress at the last `advance`."""
        return len(self._present)

    @property
    def credits(self) -> float:
        """The account's balance in credits, at the last `advance`."""
        return self.balance_s / CREDIT_S

    @property
    def throttled(self) -> bool:
        """Whether jobs are held to the baseline."""
        return self._granted() < self._potential()

    def arrive(self, now_s: float, demand_s: float) -> int:
        """A job of `demand_s` (s of a vCPU at speed 1; inf: until it leaves). Returns its name."""
        self.run_to(now_s)
        job = self._next_job
        self._next_job += 1
        finish_s = self._virtual_s + demand_s
        self._present[job] = finish_s
        heapq.heappush(self._heap, (finish_s, job))
        return job

    def leave(self, now_s: float, job: int) -> None:
        """A job is given up. One that has finished or is not known is ignored."""
        self.run_to(now_s)
        self._present.pop(job, None)
        if not self._present:
            self._start_over()
        elif len(self._heap) > 64 and len(self._heap) > 2 * len(self._present):
            self._heap = [(at_s, job) for job, at_s in self._present.items()]
            heapq.heapify(self._heap)

    def set_factor(self, now_s: float, factor: float) -> None:
        """From now on the machine gets `factor` of its cycles (a noisy neighbour has the rest)."""
        self.run_to(now_s)
        self.factor = factor

    def advance(self, now_s: float) -> list[int]:
        """Run to `now_s`; return the jobs that have finished since the last call, in order."""
        self.run_to(now_s)
        finished, self._finished = self._finished, []
        return finished

    def next_event_s(self) -> float:
        """Return when to call `advance` next: a job finishes, or its rate changes. May be inf."""
        if self._finished:
            return self._now_s
        return self._now_s + min(self._until_finish_s(), self._until_exhausted_s())

    def run_to(self, now_s: float) -> None:
        """Run to `now_s`, keeping the names of finished jobs for the next `advance`."""
        # From event to event; between two of them every rate is constant.
        while True:
            left_s = now_s - self._now_s
            finish_s, exhausted_s = self._until_finish_s(), self._until_exhausted_s()
            step_s = min(finish_s, exhausted_s, left_s)
            if step_s > 0:
                self._account(step_s)
            # An event nearer than a tick happens now: time could not advance by so little.
            due_s = step_s + TICK_S
            if exhausted_s <= due_s:
                self.balance_s = 0.0
            if finish_s <= due_s:
                at_s, job = heapq.heappop(self._heap)
                self._virtual_s = at_s  # exactly, so that rounding never leaves a remainder
                del self._present[job]
                self._finished.append(job)
                if not self._present:
                    self._start_over()
            elif exhausted_s > due_s:
                self._now_s = max(now_s, self._now_s)
                return

    # -- the inner clock -------------------------------------------------------------------------
    def _potential(self) -> float:
        """vCPUs that the jobs would use without credits to mind."""
        return min(len(self._present), self.kind.vcpus) * self.factor

    def _granted(self) -> float:
        """vCPUs that they get."""
        potential, kind = self._potential(), self.kind
        if self.balance_s > 0 or kind.unlimited or potential <= kind.earned:
            return potential
        return kind.earned

    def _rate(self) -> float:
        """Work received by each job in a second."""
        return self.kind.speed * self._granted() / len(self._present)

    def _until_finish_s(self) -> float:
        heap = self._heap
        while heap and heap[0][1] not in self._present:
            heapq.heappop(heap)  # has left
        if not heap:
            return math.inf
        return max(heap[0][0] - self._virtual_s, 0.0) / self._rate()

    def _until_exhausted_s(self) -> float:
        loss = self._granted() - self.kind.earned
        if self.balance_s <= 0 or loss <= 0 or self.kind.unlimited:
            return math.inf
        return self.balance_s / loss

    def _account(self, step_s: float) -> None:
        kind = self.kind
        granted = self._granted()
        wanted = min(len(self._present), kind.vcpus)
        limit = kind.vcpus * self.factor
        if self.balance_s <= 0 and not kind.unlimited:
            limit = min(limit, kind.earned)
        if self._present:
            self._virtual_s += self._rate() * step_s
        self.work_done_s += kind.speed * granted * step_s
        self.used_s += granted * step_s
        self.usable_s += limit * step_s
        self.stolen_s += (wanted - granted) * step_s
        self.balance_s += (kind.earned - granted) * step_s
        self.balance_s = min(max(self.balance_s, 0.0), kind.max_balance_s)
        self._now_s += step_s

    def _start_over(self) -> None:
        """An idle machine needs no history; small numbers keep virtual time exact."""
        self._virtual_s = 0.0
        self._heap.clear()
