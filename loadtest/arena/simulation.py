"""One run: requests arrive, are placed, travel, are worked on, and come back or do not.

The arrivals and the work of a run depend on the scenario and the seed alone; every policy meets the
same requests at the same times, so differences between policies are not differences of luck.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil, fsum
from random import Random
from typing import Final, cast

from loadtest.arena.changes import Deploy, ScaleOut
from loadtest.arena.events import Events
from loadtest.arena.fronts import Balancers, Front, View
from loadtest.arena.happenings import Happening
from loadtest.arena.hedge import hedging
from loadtest.arena.machine import Machine, Mode
from loadtest.arena.news import HANDLING_S
from loadtest.arena.oracle import CentralQueue, ShortestExpectedDelay, SpeedsKnown
from loadtest.arena.request import Attempt, Request
from loadtest.arena.scenario import Group, Scenario
from services.balancer.pick.policy import Policy
from services.balancer.target import Target
from services.worker.latency import LatencyAtPending

UP: Final = Mode.UP  # looked up with every request
ERROR_S: Final = 0.001  # a fast failure takes this long
REPORT_FRESH_S: Final = 0.005  # a worker's latency at pending may be as old as this


@dataclass(frozen=True, slots=True)
class Run:
    """What came of one run. `latencies_s` is sorted; a failure stands there as the deadline."""

    latencies_s: array[float]
    failed: int
    simulated: int  # requests, those of the warm-up included
    per_machine: tuple[int, ...]  # attempts placed

    def percentile(self, share: float) -> float:
        """Seconds; nearest rank. `share` is 0..1."""
        count = len(self.latencies_s)
        return self.latencies_s[max(0, min(count, ceil(share * count)) - 1)]

    @property
    def mean_s(self) -> float:
        return fsum(self.latencies_s) / len(self.latencies_s)

    @property
    def failed_share(self) -> float:
        return self.failed / len(self.latencies_s)


class Simulation:
    """One scenario, one seed, one policy (`make_policy` once a process).

    None instead of a policy is the oracle of the shortest expected delay; `CentralQueue` the other.
    """

    def __init__(
        self,
        scenario: Scenario,
        make_policy: Callable[[], Policy] | type[CentralQueue] | None,
        seed: int,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.events = Events()
        self.machines: list[Machine] = []
        self._weights: list[int] = []
        self.groups = [self._add(group) for group in scenario.machines]
        self.at_start = tuple(self.machines)
        self.extras: dict[Happening, list[Machine]] = {}  # not there yet
        for happening in scenario.happenings:
            if isinstance(happening, ScaleOut | Deploy):
                groups = map(self._add, happening.added(scenario))
                self.extras[happening] = [machine for group in groups for machine in group]
        for machine in self.machines[len(self.at_start) :]:
            machine.mode = Mode.REFUSING
        self.front: Front
        if make_policy is None:
            self.front = ShortestExpectedDelay(self.at_start, self.chance("oracle"))
        elif make_policy is CentralQueue:
            self.front = CentralQueue(self.at_start, self.chance("oracle"), self._send)
        else:
            self.front = Balancers(
                cast("Callable[[], Policy]", make_policy),
                self.machines,
                at_start=self.at_start,
                weights=self._weights,
                balancers=scenario.balancers,
                processes=scenario.processes,
                chance=self.chance,
                probe=self._probe,
                ejection=scenario.ejection,
                told=scenario.news_s > 0.0,
                subset=scenario.subset,
            )
            for view in self.front.views:
                if isinstance(view.cluster.policy, SpeedsKnown):
                    view.cluster.policy.machines = self.machines
            if self.front.news is not None:
                delay_s = scenario.network_s + HANDLING_S
                self.front.news.start(self.events, scenario.news_s, delay_s)
        self._central = self.front if isinstance(self.front, CentralQueue) else None
        self.hedging = hedging(
            scenario.hedge, self.front, self.events, send=self._send, drop=self._drop
        )
        self._hears_latency = self.front.hears_latency
        self._network_s = scenario.network_s
        self._medians = [LatencyAtPending() for _ in self.machines]
        self._reports: list[tuple[float, float | None]] = [(-1.0, None)] * len(self.machines)
        self._latencies = array("d")
        self._failed = 0
        self._deadlines: deque[Request] = deque()
        self._placed = [0] * len(self.machines)

    def _add(self, group: Group) -> list[Machine]:
        made = [
            Machine(
                len(self.machines) + place,
                self.events,
                self._worked,
                cores=group.cores,
                speed=group.speed,
                slots=group.slots,
            )
            for place in range(group.count)
        ]
        self.machines += made
        self._weights += [group.weight] * group.count
        return made

    def chance(self, whose: str) -> Random:
        """A source of chance that depends on the seed and on what it is for."""
        return Random(f"{self.seed} {whose}")

    def run(self) -> Run:
        """Simulate until the last measured request has ended."""
        scenario = self.scenario
        for happening in scenario.happenings:
            happening.start(self)
        self._probe_round(0.0, None)
        simulated = 0
        end_s = scenario.warmup_s
        left = scenario.requests
        heap = self.events.heap
        deadlines = self._deadlines
        patience_s = scenario.deadline_s
        run_until = self.events.run_until
        for arrives_s, work_s in self._arrivals():
            measured = arrives_s >= end_s
            if measured:
                left -= 1
                if left < 0:
                    break
            while deadlines:
                request = deadlines[0]
                if request.ended:
                    deadlines.popleft()
                elif request.arrived + patience_s < arrives_s:
                    run_until(request.arrived + patience_s)
                    deadlines.popleft()
                    self._give_up(request, request.arrived + patience_s)
                else:
                    break
            if heap and heap[0][0] < arrives_s:
                run_until(arrives_s)
            request = Request(arrives_s, work_s, measured=measured)
            simulated += 1
            deadlines.append(request)
            self._place(request, arrives_s)
        while deadlines:
            request = deadlines.popleft()
            run_until(request.arrived + patience_s)
            self._give_up(request, request.arrived + patience_s)
        latencies = array("d", sorted(self._latencies))
        return Run(latencies, self._failed, simulated, tuple(self._placed))

    def _arrivals(self) -> Iterator[tuple[float, float]]:
        scenario = self.scenario
        works = self.chance("work")
        draw = scenario.work.draw
        for at_s in scenario.arrivals.times(scenario.rate, self.chance("arrivals")):
            yield at_s, draw(works)

    # A request's way: _place, _arrive, (work), _worked, _answered; or _lost, _give_up.

    def _place(self, request: Request, now: float) -> None:
        attempt = self.front.place(request, now)
        request.attempt = attempt
        if attempt is not None:
            self._send(attempt, now)
            if self.hedging is not None:
                self.hedging.placed(attempt, now)
        elif self._central is None:
            self._end(request, now, failed=True)

    def _send(self, attempt: Attempt, now: float) -> None:
        machine = attempt.machine
        self._placed[machine.index] += 1
        if self._network_s:
            machine.coming += 1
            if machine.watch is not None:
                machine.watch(machine)
            self.events.at(now + self._network_s, self._arrive, attempt)
        else:
            self._take(now, attempt)

    def _arrive(self, now: float, attempt: Attempt) -> None:
        attempt.machine.coming -= 1
        if not attempt.gone:
            self._take(now, attempt)

    def _take(self, now: float, attempt: Attempt) -> None:
        machine = attempt.machine
        mode = machine.mode
        if mode is UP:
            attempt.came = now
            attempt.at_work = True
            attempt.met = machine.pending
            machine.place(attempt, now)
        elif mode is Mode.FAILING:
            self.events.at(now + ERROR_S + self._network_s, self._lost, attempt)
        elif mode is Mode.REFUSING:
            self.events.at(now + self._network_s, self._lost, attempt)

    def _worked(self, attempt: Attempt, now: float) -> None:
        machine = attempt.machine
        attempt.at_work = False
        if self._central is not None:
            self._central.next(now)
        latency_s = self._latency_at_pending(attempt, now) if self._hears_latency else None
        attempt.report = (machine.pending + 1.0, latency_s, machine.cpu(now))
        if self._network_s:
            self.events.at(now + self._network_s, self._answered, attempt)
        else:
            self._answered(now, attempt)

    def _latency_at_pending(self, attempt: Attempt, now: float) -> float | None:
        index = attempt.machine.index
        medians = self._medians[index]
        fresh_until, latency_s = self._reports[index]
        if now >= fresh_until:
            latency_s = medians.median_s(now, attempt.machine.pending)
            self._reports[index] = (now + REPORT_FRESH_S, latency_s)
        medians.record(now, attempt.met, now - attempt.came)
        return latency_s

    def _answered(self, now: float, attempt: Attempt) -> None:
        if not attempt.gone:
            self.front.ended(attempt, "answered", now)
            if self.hedging is not None:
                self.hedging.answered(attempt, now)
            self._end(attempt.request, now, failed=False)

    def _lost(self, now: float, attempt: Attempt) -> None:
        """The attempt failed by the target's fault; the balancer hears of it now."""
        if attempt.gone:
            return
        self.front.ended(attempt, "failed", now)
        attempt.gone = True
        request = attempt.request
        if self.hedging is not None and self.hedging.lives_on(attempt):
            request.tried = (*request.tried, attempt.target)
        elif request.tries < self.scenario.retries:
            request.tries += 1
            request.tried = (*request.tried, attempt.target)
            self._place(request, now)
        else:
            self._end(request, now, failed=True)

    def _give_up(self, request: Request, now: float) -> None:
        """The client's patience is over."""
        if request.ended:
            return
        for attempt in (request.attempt, request.second):
            if attempt is not None:
                self._drop(attempt, now)
        self._end(request, now, failed=True)
        if self._central is not None:
            self._central.next(now)

    def _drop(self, attempt: Attempt, now: float) -> None:
        """Nobody waits for it any more."""
        if attempt.at_work:
            attempt.machine.cancel(attempt, now)
        attempt.gone = True
        self.front.ended(attempt, "abandoned", now)

    def _end(self, request: Request, now: float, *, failed: bool) -> None:
        request.ended = True
        request.attempt = None  # a ring of the two would wait for the garbage collector
        request.second = None
        if request.measured:
            if failed:
                self._failed += 1
                self._latencies.append(self.scenario.deadline_s)
            else:
                self._latencies.append(now - request.arrived)

    def lose(self, machine: Machine, now: float) -> None:
        """The machine's process is gone, and what it had in hand with it."""
        for attempt in machine.drop_all(now):
            attempt.at_work = False
            self.events.at(now + self._network_s, self._lost, attempt)

    def _probe_round(self, now: float, _: None) -> None:
        if self._central is not None:
            self._central.next(now)  # who came, or thawed, without anybody's request ending
        self.front.probe(self.machines, self._network_s, now)
        self.events.at(now + self.scenario.probe_interval_s, self._probe_round)

    def _probe(self, view: View, target: Target, now: float) -> None:
        """A probe from the data plane: there and back; it hears what a response would carry."""
        self.events.at(now + self._network_s, self._probe_there, (view, target))

    def _probe_there(self, now: float, about: tuple[View, Target]) -> None:
        machine = self.machines[about[1].slot]
        if machine.mode is not Mode.UP or machine.speed <= 0.0:
            return
        latency_s = self._medians[machine.index].median_s(now, machine.pending)
        report = (float(machine.pending), latency_s, machine.cpu(now))
        self.events.at(now + self._network_s, self._probe_back, (about[1], report))

    def _probe_back(
        self, now: float, about: tuple[Target, tuple[float, float | None, float]]
    ) -> None:
        target, report = about
        target.load.reported(*report, now)


def simulate(
    scenario: Scenario,
    make_policy: Callable[[], Policy] | type[CentralQueue] | None,
    seed: int,
) -> Run:
    """Run `scenario` once with a policy, or with an oracle (None, CentralQueue)."""
    return Simulation(scenario, make_policy, seed).run()
