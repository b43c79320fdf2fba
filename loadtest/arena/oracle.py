"""Choices by someone who knows what no balancer can: the marks that policies are measured against.

Neither is a bound: they do not know the work to come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random

from loadtest.arena.events import NEVER_S
from loadtest.arena.machine import Machine, Mode
from loadtest.arena.request import Attempt, Request
from services.balancer.messages import Health
from services.balancer.pick.policy import T


class Index:
    """Machines by a cost that they keep up to date themselves; ties are broken by chance.

    A choice costs O(log n). What is chosen must be told of (`Machine.watch`) before the next.
    """

    def __init__(self, cost: Callable[[Machine], float], rng: Random) -> None:
        self._cost = cost
        self._rng = rng
        self._heap: list[tuple[float, float, int, Machine]] = []
        self._version: dict[int, int] = {}
        self._made = 0

    def admit(self, machine: Machine) -> None:
        """`machine` may be chosen from now on."""
        machine.watch = self._changed
        self._changed(machine)

    def bar(self, machine: Machine) -> None:
        """No more."""
        machine.watch = None
        self._version.pop(machine.index, None)

    def least(self) -> tuple[float, Machine] | None:
        """The lowest cost and who has it; None when there is nobody."""
        heap = self._heap
        version = self._version
        while heap:
            cost, _, made, machine = heap[0]
            if version.get(machine.index) == made:
                return cost, machine
            heappop(heap)
        return None

    def _changed(self, machine: Machine) -> None:
        self._made = made = self._made + 1
        self._version[machine.index] = made
        heappush(self._heap, (self._cost(machine), self._rng.random(), made, machine))


def expected_delay(machine: Machine) -> float:
    """Of one more request of mean work 1, with true speed, true pending, known without delay.

    In proportion to max(1, (n + 1) / c) / s; infinite where none gets through.
    """
    return delay_after(machine, machine.pending + machine.coming)


def delay_after(machine: Machine, pending: int) -> float:
    """The same if so many were pending."""
    if machine.speed <= 0.0 or machine.mode is not Mode.UP:
        return NEVER_S
    share = (pending + 1) / machine.cores
    return (share if share > 1.0 else 1.0) / machine.speed


def free_core(machine: Machine) -> float:
    """Of a request that finds a core free; infinite where it does not."""
    if machine.pending + machine.coming + 1 > max(machine.cores, 1):
        return NEVER_S
    return expected_delay(machine)


class ShortestExpectedDelay:
    """In the balancers' place: each request goes where it is expected to end first."""

    hears_latency = False

    def __init__(self, machines: Sequence[Machine], rng: Random) -> None:
        self.index = Index(expected_delay, rng)
        for machine in machines:
            self.index.admit(machine)

    def place(self, request: Request, now: float) -> Attempt | None:
        """The machine of the moment."""
        least = self.index.least()
        return None if least is None else Attempt(request, least[1], now)

    def ended(self, attempt: Attempt, how: str, now: float) -> None:
        """Nothing to learn."""

    def see(
        self,
        machine: Machine,
        health: Health,
        *,
        draining: bool,
        now: float,
        balancer: int | None = None,
    ) -> None:
        """Who is there; how healthy, it knows better than a control plane."""
        if not draining:
            self.index.admit(machine)
        else:
            self.index.bar(machine)

    def probe(self, machines: Sequence[Machine], network_s: float, now: float) -> None:
        """It knows."""


class CentralQueue(ShortestExpectedDelay):
    """One queue for all: a request waits until a core is free, and takes the fastest then.

    In order of arrival; no machine ever shares a core. `send` puts a request on its way later.
    """

    def __init__(
        self, machines: Sequence[Machine], rng: Random, send: Callable[[Attempt, float], None]
    ) -> None:
        self.index = Index(free_core, rng)
        for machine in machines:
            self.index.admit(machine)
        self._send = send
        self._waiting: deque[Request] = deque()

    def place(self, request: Request, now: float) -> Attempt | None:
        """None: it waits here."""
        least = self.index.least()
        if least is None or least[0] == NEVER_S:
            self._waiting.append(request)
            return None
        return Attempt(request, least[1], now)

    def next(self, now: float) -> None:
        """Something has changed: place who waits, as long as there is room."""
        waiting = self._waiting
        while waiting:
            if waiting[0].ended:
                waiting.popleft()
                continue
            least = self.index.least()
            if least is None or least[0] == NEVER_S:
                return
            request = waiting.popleft()
            request.attempt = attempt = Attempt(request, least[1], now)
            self._send(attempt, now)


class SpeedsKnown:
    """A policy for balancers that know each machine's true speed of the moment, and nothing else.

    Of what is pending they know what balancers know: their own, and what the others told. So what
    it lacks of the oracle is the price of hearing late.
    """

    def __init__(self) -> None:
        self.machines: Sequence[Machine] = ()  # by slot; the simulation gives them

    def pick(self, candidates: Sequence[T], now: float, rng: Random) -> T:
        """The shortest expected delay; any of those with the same."""
        machines = self.machines
        return min(
            candidates,
            key=lambda target: (delay_after(machines[target.slot], target.pending), rng.random()),
        )
