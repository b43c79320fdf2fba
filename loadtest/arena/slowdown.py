"""How soon a change of speed is known: `python -m loadtest.arena.slowdown`.

One machine of several falls to a part of its speed and recovers. Its share of the new requests is
counted, by how many answers it has given since the fall and by time since the recovery, beside the
share that the oracle gives it, who knows the speed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Final

import typer

from loadtest.arena.compare import ORACLE, spec_of
from loadtest.arena.happenings import Slowdown
from loadtest.arena.request import Attempt
from loadtest.arena.scenario import Group, Scenario
from loadtest.arena.simulation import Simulation
from loadtest.arena.table import markdown
from services.balancer.pick import build

FALL: Final = Slowdown(group=1, at_s=1.0, for_s=8.0, factor=0.3)
WARMUP_S: Final = 4.0
SCENARIO: Final = Scenario(
    name="a fall to 30 %",
    machines=(Group(count=4), Group(count=4, cores=2)),
    load=0.85,
    happenings=(FALL,),
    network_s=0.00025,
    requests=7_500,
    warmup_s=WARMUP_S,
)
FELL_S: Final = WARMUP_S + FALL.at_s
ROSE_S: Final = FELL_S + FALL.for_s
ANSWERS: Final = ((0, 5), (5, 10), (10, 20), (20, 60))  # since the fall, from and below
SECONDS: Final = ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0), (3.0, 5.0))  # since the recovery


@dataclass(slots=True)
class Share:
    """Of all requests in a stretch, those that the machine got."""

    got: int = 0
    all: int = 0

    @property
    def value(self) -> float:
        return self.got / self.all if self.all else 0.0


class Watch:
    """In the front's place: passes everything on, and counts."""

    def __init__(self, simulation: Simulation) -> None:
        self._front = simulation.front
        self._machine = simulation.groups[FALL.group][0]
        self._answers = 0
        self.after_answers = [Share() for _ in ANSWERS]
        self.after_s = [Share() for _ in SECONDS]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._front, name)

    def place(self, request: Any, now: float) -> Attempt | None:
        """Counts where it went."""
        attempt = self._front.place(request, now)
        mine = attempt is not None and attempt.machine is self._machine
        if FELL_S <= now < ROSE_S:
            self._count(self.after_answers, ANSWERS, self._answers, mine=mine)
        elif now >= ROSE_S:
            self._count(self.after_s, SECONDS, now - ROSE_S, mine=mine)
        return attempt

    def ended(self, attempt: Attempt, how: str, now: float) -> None:
        """Counts whose answer it was."""
        self._answers += FELL_S <= now < ROSE_S and attempt.machine is self._machine
        self._front.ended(attempt, how, now)

    @staticmethod
    def _count(
        shares: list[Share], spans: Sequence[tuple[float, float]], at: float, *, mine: bool
    ) -> None:
        for share, (start, end) in zip(shares, spans, strict=True):
            if start <= at < end:
                share.got += mine
                share.all += 1


def watched(policy: str, seeds: Sequence[int]) -> tuple[list[Share], list[Share]]:
    """(by answers since the fall, by time since the recovery), summed over seeds."""
    make: Callable[[], Any] | None = None if policy == ORACLE else partial(build, spec_of(policy))
    by_answers, by_s = [Share() for _ in ANSWERS], [Share() for _ in SECONDS]
    for seed in seeds:
        simulation = Simulation(SCENARIO, make, seed)
        watch = Watch(simulation)
        simulation.front = watch
        simulation.run()
        for sums, seen in ((by_answers, watch.after_answers), (by_s, watch.after_s)):
            for total, share in zip(sums, seen, strict=True):
                total.got += share.got
                total.all += share.all
    return by_answers, by_s


def main(
    policies: Annotated[str, typer.Option(help="by comma")] = "steelyard,least_time,peak_ewma",
    seeds: Annotated[int, typer.Option(min=1)] = 10,
    first_seed: Annotated[int, typer.Option()] = 100,
) -> None:
    """Print a table: its share of the new requests, in %, beside what the oracle gives it."""
    span = range(first_seed, first_seed + seeds)
    rows = []
    for policy in (ORACLE, *policies.split(",")):
        by_answers, by_s = watched(policy, span)
        rows.append((policy, *(f"{100 * share.value:.1f}" for share in by_answers + by_s)))
    after = [f"answers {start}-{end}" for start, end in ANSWERS]
    since = [f"{start:g}-{end:g} s" for start, end in SECONDS]
    print(f"its share of the requests in %: by its answers since a fall to {FALL.factor:.0%},")
    print(f"then by time since its recovery; seeds {span[0]} to {span[-1]}\n")
    print(markdown(("policy", *after, *since), rows))


if __name__ == "__main__":
    typer.run(main)
