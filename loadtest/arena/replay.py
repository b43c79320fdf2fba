"""What would another policy have done? A log's requests once more, at the machines behind it.

Each arrives when it did, with the work that it was (`rebuild`), and is placed by a policy. How far
to believe that: the policy that was in use, simulated, beside what was measured. Placed *as logged*
the requests must give the log's own latencies, whatever the machines were taken for; that row is a
check of the replay itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from json import dumps
from math import ceil
from pathlib import Path
from statistics import fmean
from typing import Final

from loadtest.arena.compare import ORACLE, Figures, spec_of
from loadtest.arena.logged import Log, Served
from loadtest.arena.machine import Machine
from loadtest.arena.rebuild import WIDE, Past, rebuild
from loadtest.arena.request import Attempt, Request
from loadtest.arena.scenario import Group, Scenario
from loadtest.arena.simulation import Simulation
from loadtest.arena.table import markdown, milliseconds
from loadtest.arena.work import Fixed
from services.balancer.messages import Health
from services.balancer.pick import build
from services.balancer.pick.policy import Policy

AS_LOGGED: Final = "as logged"
WARMUP_SHARE: Final = 0.1  # of the log: its first requests met others that are not in it
PATIENCE_S: Final = 60.0  # the balancer's own, by default; more when the log has more
HEADINGS: Final = ("policy", "p50", "p99", "p99.9", "mean", "p99 / measured")


@dataclass(frozen=True, slots=True)
class Speeds:
    """Machines change their speeds as they did: (when, which, how fast)."""

    changes: tuple[tuple[float, int, float], ...]

    def start(self, simulation: Simulation) -> None:
        def change(now: float, about: tuple[int, float]) -> None:
            which, speed = about
            simulation.machines[which].set_speed(speed, now)

        for at_s, which, speed in self.changes:
            simulation.events.at(at_s, change, (which, speed))

    def lost_share(self, scenario: Scenario) -> float:
        return 0.0  # `load` plays no part: arrivals are given


class Replay(Simulation):
    """A simulation whose requests are given."""

    def __init__(
        self, past: Log, rebuilt: Past, make_policy: Callable[[], Policy] | None, seed: int
    ) -> None:
        super().__init__(scenario_of(past, rebuilt), make_policy, seed)
        self._given = [
            (each.arrived_s, work_s)
            for each, work_s in zip(past.served, rebuilt.works_s, strict=True)
        ]

    def _arrivals(self) -> Iterator[tuple[float, float]]:
        return iter(self._given)


class AsLogged:
    """In the balancer's place: each request goes where it went, if it is the first try."""

    hears_latency = False

    def __init__(self, machines: Sequence[Machine], served: Sequence[Served]) -> None:
        self._machines = machines
        self._where = (each.target for each in served)

    def place(self, request: Request, now: float) -> Attempt | None:
        return Attempt(request, self._machines[next(self._where)], now)

    def ended(self, attempt: Attempt, how: str, now: float) -> None:
        """Nothing is learnt."""

    def see(
        self,
        machine: Machine,
        health: Health,
        *,
        draining: bool,
        now: float,
        balancer: int | None = None,
    ) -> None:
        """Nor seen."""

    def probe(self, machines: Sequence[Machine], network_s: float, now: float) -> None:
        """Nor asked."""


def scenario_of(past: Log, rebuilt: Past) -> Scenario:
    """The machines, and how their speeds change."""
    latest_s = max(each.latency_s for each in past.served)
    return Scenario(
        name=f"replay of {past.cluster}",
        machines=tuple(Group(count=1, cores=machine.cores) for machine in rebuilt.machines),
        load=1.0,
        work=Fixed(rebuilt.mean_s),
        requests=len(past.served),
        warmup_s=warmup_s(past),
        deadline_s=max(PATIENCE_S, 2 * latest_s),
        retries=0,
        happenings=(
            Speeds(
                tuple(
                    (at_s, which, speed)
                    for which, machine in enumerate(rebuilt.machines)
                    for at_s, speed in machine.speeds
                )
            ),
        ),
    )


def warmup_s(past: Log) -> float:
    """What comes before is not measured, here or there."""
    return WARMUP_SHARE * past.served[-1].arrived_s


@dataclass(frozen=True, slots=True)
class Answer:
    """What was measured, and what each policy would have done, a run for each seed."""

    past: Log
    rebuilt: Past
    measured: Figures
    figures: Mapping[str, tuple[Figures, ...]]
    in_use: str

    def mean(self, policy: str, of: Callable[[Figures], float]) -> float:
        """Of one figure over seeds, in seconds."""
        return fmean(of(each) for each in self.figures[policy])

    def error(self, policy: str, of: Callable[[Figures], float]) -> float:
        """Simulated over measured, less one."""
        return self.mean(policy, of) / of(self.measured) - 1.0


def ask(
    past: Log, policies: Sequence[str], seeds: Sequence[int], in_use: str, *, jobs: int = 1
) -> Answer:
    """Replay the log with each policy. Raises ValueError when there is no such policy."""
    rebuilt = rebuild(past)
    everyone = tuple(dict.fromkeys((in_use, *policies)))
    for policy in everyone:
        spec_of(policy)
    tasks = [(past, rebuilt, AS_LOGGED, 0), (past, rebuilt, ORACLE, 0)]
    tasks += [(past, rebuilt, policy, seed) for policy in everyone for seed in seeds]
    found: dict[str, list[Figures]] = {}
    if jobs == 1:
        runs = list(map(one_replay, tasks))
    else:
        with ProcessPoolExecutor(jobs) as pool:
            runs = list(pool.map(one_replay, tasks))
    for (_, _, policy, _), figures in zip(tasks, runs, strict=True):
        found.setdefault(policy, []).append(figures)
    return Answer(
        past, rebuilt, measured(past), {p: tuple(each) for p, each in found.items()}, in_use
    )


def one_replay(task: tuple[Log, Past, str, int]) -> Figures:
    """One policy (or the oracle, or the log's own placements) with one seed."""
    past, rebuilt, policy, seed = task
    if policy in (ORACLE, AS_LOGGED):
        replay = Replay(past, rebuilt, None, seed)
        if policy == AS_LOGGED:
            replay.front = AsLogged(replay.machines, past.served)
    else:
        spec = spec_of(policy)
        replay = Replay(past, rebuilt, lambda: build(spec), seed)
    return Figures.of(replay.run())


def measured(past: Log) -> Figures:
    """The log's own figures, of the requests that the replay measures, too."""
    least_s = warmup_s(past)
    ordered = sorted(each.latency_s for each in past.served if each.arrived_s >= least_s)

    def rank(share: float) -> float:
        return ordered[max(0, ceil(share * len(ordered)) - 1)]

    given_up = sum(not each.whole for each in past.served)
    return Figures(
        p50_s=rank(0.5),
        p99_s=rank(0.99),
        p999_s=rank(0.999),
        mean_s=fmean(ordered),
        errors=given_up / len(past.served),
        requests=len(past.served),
    )


def text(answer: Answer) -> str:
    """Everything to read, as Markdown; latencies in ms."""
    past, rebuilt = answer.past, answer.rebuilt
    asked = [p for p in answer.figures if p not in (AS_LOGGED, ORACLE)]
    asked.sort(key=lambda policy: answer.mean(policy, lambda f: f.p99_s))
    use = answer.in_use
    return "\n".join(
        [
            f"{len(past.served):,} requests to {past.cluster or 'a cluster'} in "
            f"{past.lasts_s:,.1f} s; the first {warmup_s(past):,.1f} s warm up.",
            *(f"- {note}" for note in past.notes),
            "",
            markdown(("target", "cores", "speed", "stretches", "requests"), _machines(rebuilt)),
            "",
            markdown(
                HEADINGS,
                [
                    _row("measured", answer.measured, answer),
                    *(_row(p, _means(answer, p), answer) for p in (AS_LOGGED, ORACLE, *asked)),
                ],
            ),
            "",
            f"If {use} was in use, the simulation is off by {_off(answer, use, 0.5)} at p50 and by "
            f"{_off(answer, use, 0.99)} at p99: a difference between two policies that is smaller "
            "says nothing.",
        ]
    )


def _machines(rebuilt: Past) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for machine in rebuilt.machines:
        speeds = [speed for _, speed in machine.speeds]
        shown = f"{min(speeds):.2f}"
        if len(speeds) > 1:
            shown += f" - {max(speeds):.2f}"
        cores = "waits" if machine.cores == WIDE else str(machine.cores)
        found.append((machine.name, cores, shown, str(len(speeds)), f"{machine.requests:,}"))
    return found


def _means(answer: Answer, policy: str) -> Figures:
    return Figures(
        p50_s=answer.mean(policy, lambda f: f.p50_s),
        p99_s=answer.mean(policy, lambda f: f.p99_s),
        p999_s=answer.mean(policy, lambda f: f.p999_s),
        mean_s=answer.mean(policy, lambda f: f.mean_s),
        errors=answer.mean(policy, lambda f: f.errors),
        requests=answer.figures[policy][0].requests,
    )


def _row(name: str, figures: Figures, answer: Answer) -> tuple[str, ...]:
    shown = (figures.p50_s, figures.p99_s, figures.p999_s, figures.mean_s)
    ratio = figures.p99_s / answer.measured.p99_s
    return (name, *map(milliseconds, shown), "1" if name == "measured" else f"{ratio:.2f}")


def _off(answer: Answer, policy: str, share: float) -> str:
    error = answer.error(policy, lambda f: f.p50_s if share == 0.5 else f.p99_s)
    return f"{error:+.1%}"


def write_json(answer: Answer, path: Path) -> None:
    """Every figure, and the machines as rebuilt."""
    content = {
        "cluster": answer.past.cluster,
        "notes": answer.past.notes,
        "machines": [asdict(machine) for machine in answer.rebuilt.machines],
        "measured": asdict(answer.measured),
        "figures": {p: [asdict(each) for each in f] for p, f in answer.figures.items()},
        "in_use": answer.in_use,
    }
    path.write_text(dumps(content, indent=1) + "\n", encoding="utf-8")
