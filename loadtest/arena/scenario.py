"""What is simulated: machines, work, arrivals, who stands in front. Frozen data.

Times are seconds; `load` is the offered work over the capacity that is there on average, so that
0.9 with a neighbour that takes a fifth of the machines is 0.9 of what the neighbour leaves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from loadtest.arena.arrivals import POISSON, Arrivals
from loadtest.arena.work import EXPONENTIAL, Work

if TYPE_CHECKING:
    from loadtest.arena.happenings import Happening

DEADLINE_S: Final = 5.0  # the client's patience; Prequal's test bed


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`count` equal machines. `slots`: how many requests run at once, the rest queue; None: all."""

    count: int
    cores: int = 1
    speed: float = 1.0
    slots: int | None = None

    @property
    def capacity(self) -> float:
        """Core-seconds of work that all of them do in a second."""
        slots = self.cores if self.slots is None else min(self.slots, self.cores)
        return self.count * slots * self.speed

    @property
    def weight(self) -> int:
        """For `weighted_round_robin` alone, which is told what others have to find out."""
        return max(1, round(self.capacity / self.count * 100))


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedge:
    """A request unanswered for longer than a share `after` of the others goes to a second target.

    At most a share `budget` of the requests does; latencies of `window_s` and more count. `idle`:
    only while this balancer knows of a target with nothing pending.
    """

    after: float = 0.95
    budget: float = 0.1
    window_s: float = 5.0
    idle: bool = False

    def __post_init__(self) -> None:
        if not (0.0 < self.after < 1.0 and 0.0 <= self.budget <= 1.0 and self.window_s > 0.0):
            raise ValueError("after and budget are shares, window_s is above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One cell of the matrix. `why` says what it stands for.

    `balancers` x `processes` views share the machines; requests come to them by chance.
    `requests` are measured, after a warm-up of `warmup_s`; the run takes as long as they take.
    """

    name: str
    machines: tuple[Group, ...]
    load: float
    why: str = ""
    arrivals: Arrivals = POISSON
    work: Work = EXPONENTIAL
    requests: int = 20_000
    warmup_s: float = 5.0
    balancers: int = 1
    processes: int = 1
    subset: int = 0  # machines that each balancer uses at least; 0: all
    news_s: float = 0.0  # how often balancers tell each other what is pending; 0: never
    network_s: float = 0.0  # one way, balancer to machine
    probe_interval_s: float = 1.0  # of the control plane
    deadline_s: float = DEADLINE_S
    retries: int = 1
    hedge: Hedge | None = None
    allotment: float | None = None  # core-seconds a second that `load` is of; None: the capacity
    ejection: bool = False  # off: what a policy does about a failing machine is its own doing
    happenings: tuple[Happening, ...] = ()

    @property
    def size(self) -> int:
        """How many machines there are at the start."""
        return sum(group.count for group in self.machines)

    @property
    def capacity(self) -> float:
        """Core-seconds of work a second, on average over time."""
        full = sum(group.capacity for group in self.machines)
        return full * (1.0 - sum(each.lost_share(self) for each in self.happenings))

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.load * (self.allotment or self.capacity) / self.work.mean_s

    @property
    def duration_s(self) -> float:
        """Until the last arrival."""
        return self.warmup_s + self.requests / self.rate
