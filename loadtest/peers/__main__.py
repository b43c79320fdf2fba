"""`python -m loadtest.peers [compare] [processes] [thousand] [idle]`: all when none is named."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from random import Random
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Table

from loadtest.peers import contenders, processes, report, scenario
from loadtest.peers.contenders import BASELINE, COMPILED, COMPILED_FOLDER, OURS, Proxy
from loadtest.peers.generate import OpenLoop, find_wrk
from loadtest.peers.idle import measure_idle
from loadtest.peers.interpreter import DISTRIBUTION, best
from loadtest.peers.machine import Cores, describe, raise_open_files, split_cores
from loadtest.peers.measure import Run
from loadtest.peers.process import PeersError, find_program
from loadtest.peers.processes import ProcessesRun
from loadtest.peers.report import Report
from loadtest.peers.rounds import Plan, play, summarize
from loadtest.peers.scenario import SMALL
from loadtest.peers.targets import serving
from loadtest.peers.thousand import field, find_k6, k6, race

RESULTS: Final = Path("results")
DOCS: Final = Path("docs/benchmarks.md")
EVERYONE: Final = ",".join(proxy.name for proxy in contenders.PROXIES)
OPEN_FILES: Final = 32_768
FULL_ROUNDS: Final = 10
EXIT_MARK_MISSED, EXIT_USAGE, EXIT_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

out = Console(width=None if sys.stdout.isatty() else 110)


class Part(StrEnum):
    """What can be measured."""

    COMPARE = "compare"
    PROCESSES = "processes"
    THOUSAND = "thousand"
    IDLE = "idle"


def main(
    *,
    parts: Annotated[list[Part] | None, typer.Argument(help="default: all")] = None,
    peers: Annotated[str, typer.Option(help="which proxies, by comma")] = EVERYONE,
    scenarios: Annotated[str, typer.Option(help="of compare, by comma")] = SMALL.name,
    rounds: Annotated[int, typer.Option(min=1, help="of compare and thousand")] = 5,
    seconds: Annotated[int, typer.Option(min=1, help="of one run, after warm-up")] = 2,
    connections: Annotated[str, typer.Option(help="of idle, by comma")] = "5000",
    latency: Annotated[bool, typer.Option(help="also latency at half load")] = False,
    full: Annotated[bool, typer.Option(help="every scenario, ten rounds, latency")] = False,
    update_docs: Annotated[bool, typer.Option(help=f"rewrite {DOCS} and its plot")] = False,
    policy: Annotated[str, typer.Option(help="of our balancer")] = "peak_ewma",
    python: Annotated[
        str | None,
        typer.Option(help="runs our balancer; default: the distribution's, if it can load this"),
    ] = None,
) -> None:
    """Our balancer beside HAProxy, nginx, Envoy and Caddy, one core each, in turn."""
    asked = set(parts or Part)
    if full:
        scenarios = ",".join(s.name for s in scenario.SCENARIOS)
        rounds, latency, connections = max(rounds, FULL_ROUNDS), True, "5000,10000"
    try:
        proxies = contenders.named(peers.split(","))
        chosen = scenario.named(scenarios.split(","))
        counts = [int(count) for count in connections.split(",")]
    except KeyError as error:
        raise _end(f"{error} is not known; see --help", EXIT_USAGE) from None
    except ValueError:
        raise _end(f"--connections takes whole numbers, not {connections}", EXIT_USAGE) from None
    proxies = tuple(
        replace(
            p, program=python or best(), launch=contenders.steelyard(policy, compiled=p is COMPILED)
        )
        if p in (OURS, COMPILED)
        else p
        for p in proxies
    )
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a shell's background ignores it
        signal.signal(number, _interrupt)
    try:
        programs = _programs(proxies)
        plan = Plan(proxies, programs, chosen, rounds, seconds)
        done = _measure(plan, asked, counts, latency, policy)
    except PeersError as error:
        raise _end(str(error), EXIT_FAILED) from None
    except KeyboardInterrupt:
        raise _end("stopped; nothing is left running", EXIT_INTERRUPTED) from None
    _show(done)
    out.print(f"written: {report.write_json(done, RESULTS)}")
    if update_docs:
        try:
            report.update_docs(done, DOCS)
        except (OSError, ValueError) as error:
            raise _end(str(error), EXIT_FAILED) from None
        out.print(f"written: {DOCS}")
    if report.faults(done) or not all(mark.kept for mark in done.marks):
        raise typer.Exit(EXIT_MARK_MISSED)


def _measure(plan: Plan, asked: set[Part], counts: list[int], latency: bool, policy: str) -> Report:
    cores, rng = split_cores(), Random()
    raise_open_files(OPEN_FILES)
    machine = describe()
    out.print(f"cores: {cores.story}; load average {machine['load']}")
    done = Report(
        # As a person would type it: the interpreter's path says nothing.
        command=" ".join(["python -m loadtest.peers", *sys.argv[1:]]),
        machine=machine,
        pinned=cores.story,
        versions={p.name: _version(p, plan.programs[p.name]) for p in plan.proxies},
        seconds=plan.seconds,
        rounds=plan.rounds,
    )
    if asked & {Part.COMPARE, Part.PROCESSES, Part.IDLE}:
        with serving(cores.rest, rng) as targets:
            if Part.COMPARE in asked:
                done = _with_runs(done, plan, targets, cores, rng, latency=latency)
            if Part.PROCESSES in asked:
                done = _with_processes(done, plan, policy, targets, cores=cores, rng=rng)
            if Part.IDLE in asked:
                done = _with_idle(done, plan, counts, targets, cores=cores, rng=rng)
    if Part.THOUSAND in asked:
        done = _with_races(done, plan, rng)
    return done


def _with_runs(
    done: Report,
    plan: Plan,
    targets: tuple[int, ...],
    cores: Cores,
    rng: Random,
    *,
    latency: bool,
) -> Report:
    """The closed loop, then the same arrival rate for all: half of what the slower of us and
    nginx took a minute before. A proxy that fails ends this part, not the command."""
    runs: list[Run] = []
    quiet: list[Run] = []
    rate = 0.0
    failures = done.failures
    try:
        for run in play(plan, find_wrk(cores.rest), targets, cores, rng):
            _say(run)
            runs.append(run)
        if latency:
            small = summarize([r for r in runs if r.scenario == SMALL.name], BASELINE)
            able = [s.per_s for s in small if s.proxy in (OURS.name, "nginx") and s.per_s]
            if not able:
                raise PeersError("half load is unknown without the small GET of nginx or ours")
            rate = min(able) / 2
            half = replace(plan, scenarios=(SMALL,))
            for run in play(half, OpenLoop(rate, cores.rest), targets, cores, rng):
                _say(run)
                quiet.append(run)
    except PeersError as error:
        failures += (str(error),)
    return replace(
        done,
        runs=tuple(runs),
        latency_rate_per_s=rate,
        latency_runs=tuple(quiet),
        failures=failures,
    )


def _with_processes(
    done: Report,
    plan: Plan,
    policy: str,
    targets: tuple[int, ...],
    *,
    cores: Cores,
    rng: Random,
) -> Report:
    """One data-plane process and two, of each of our builds."""

    def say(run: ProcessesRun) -> None:
        figures = run.void or f"{run.requests / run.cpu_s:,.0f} per CPU-second"
        where = f"round {run.round + 1}, {run.processes} processes, {run.proxy}"
        out.print(f"{where}: {figures}", highlight=False)

    runs, failures = list(done.processes), list(done.failures)
    for proxy in plan.proxies:
        if proxy.name not in (OURS.name, COMPILED.name):
            continue
        try:
            runs += processes.play(
                proxy,
                plan.programs[proxy.name],
                SMALL,
                find_wrk(cores.rest),
                targets,
                policy=policy,
                cores=cores,
                rng=rng,
                rounds=plan.rounds,
                seconds=plan.seconds,
                say=say,
            )
        except PeersError as error:
            failures.append(f"two processes, {proxy.title}: {error}")
    return replace(done, processes=tuple(runs), failures=tuple(failures))


def _with_idle(
    done: Report,
    plan: Plan,
    counts: list[int],
    targets: tuple[int, ...],
    *,
    cores: Cores,
    rng: Random,
) -> Report:
    idle, failures = list(done.idle), list(done.failures)
    for proxy in plan.proxies:
        if proxy.name not in (OURS.name, BASELINE):
            continue
        for count in counts:
            out.print(f"idle connections: {count:,} to {proxy.title}")
            program = plan.programs[proxy.name]
            try:
                idle.append(measure_idle(proxy, program, count, targets, cores=cores, rng=rng))
            except PeersError as error:
                failures.append(f"idle, {proxy.title}: {error}")
    return replace(done, idle=tuple(idle), failures=tuple(failures))


def _with_races(done: Report, plan: Plan, rng: Random) -> Report:
    entrants = tuple(p for p in plan.proxies if p.name in (OURS.name, COMPILED.name, BASELINE))
    ask = k6(find_k6())
    with field(entrants, plan.programs, rng) as ports:
        races = []
        for at_once, rounds in ((64, plan.rounds * 2), (1000, plan.rounds)):
            say: Callable[..., None] = lambda name, finish, n=at_once: out.print(  # noqa: E731 - one line of progress
                f"1000 requests, {n} at once, {name}: {finish.fault or f'{finish.seconds:.3f} s'}"
            )
            races.append(race(at_once, ports, rounds, ask, say))
    return replace(done, races=tuple(races))


def _programs(proxies: tuple[Proxy, ...]) -> dict[str, str]:
    found = {}
    for proxy in proxies:
        program = find_program(proxy)
        if proxy.name == COMPILED.name and not COMPILED_FOLDER.is_dir():
            program = None
        if program is None:
            raise PeersError(
                f"{proxy.program} is missing ({proxy.package}); install it, or leave it out: "
                f"--peers {','.join(p.name for p in proxies if p is not proxy)}"
            )
        found[proxy.name] = program
    return found


def _version(proxy: Proxy, program: str) -> str:
    """The first thing with dots in what the program says of itself."""
    if proxy.name in (OURS.name, COMPILED.name):
        argv = [
            program,
            "-c",
            "import platform as p; print(p.python_version(), p.python_compiler())",
        ]
        said = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=10)
        whose = "the distribution's" if program == DISTRIBUTION else "a"
        return f"of this tree on {whose} Python {said.stdout.strip()}"
    said = subprocess.run(
        [program, *proxy.version_argv], capture_output=True, text=True, check=False, timeout=10
    )
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found.group() if found else "of unknown version"


def _say(run: Run) -> None:
    figures = run.void or f"{run.per_cpu_s:,.0f} per CPU-second, {run.per_s:,.0f}/s"
    out.print(f"round {run.round + 1}, {run.scenario}, {run.proxy}: {figures}", highlight=False)


def _show(done: Report) -> None:
    for chosen in scenario.SCENARIOS:
        runs = [run for run in done.runs if run.scenario == chosen.name]
        if runs:
            _table(chosen.title, report.HEADINGS, report.rows(summarize(runs, BASELINE)))
    if done.latency_runs:
        title = f"latency at {done.latency_rate_per_s:,.0f} requests a second"
        _table(title, report.HEADINGS, report.rows(summarize(done.latency_runs, BASELINE)))
    if done.processes:
        rows = report.processes_rows(done.processes)
        _table("two data-plane processes to one", report.PROCESSES_HEADINGS, rows)
    if done.races:
        _table("1000 requests to real workers", report.RACE_HEADINGS, report.race_rows(done.races))
    if done.idle:
        _table("idle client connections", report.IDLE_HEADINGS, report.idle_rows(done.idle))
    for fault in report.faults(done):
        out.print(fault, style="red", markup=False)
    for mark in done.marks:
        out.print(str(mark), style="green" if mark.kept else "red", highlight=False)


def _table(title: str, headings: tuple[str, ...], cells: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="right" if place else "left", no_wrap=True)
    for row in cells:
        table.add_row(*row)
    out.print(table)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(message: str, code: int) -> typer.Exit:
    Console(stderr=True).print(f"peers: {message}", style="red", markup=False, soft_wrap=True)
    return typer.Exit(code)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtest.peers")
