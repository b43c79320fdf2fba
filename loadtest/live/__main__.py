"""`python -m loadtest.live`: scenarios run with real processes, and simulated beside it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from types import FrameType
from typing import Annotated, Final

import typer
from rich.console import Console

from loadtest.arena.files import BadScenario, read_scenarios
from loadtest.arena.output import NoPlace
from loadtest.arena.scenario import Scenario
from loadtest.live import report
from loadtest.live.beside import beside
from loadtest.live.contenders import DEFAULT, OTHERS, contender
from loadtest.live.fleet import fleet
from loadtest.live.judge import Result, marks
from loadtest.live.rounds import Turn, field, play
from loadtest.live.schedule import NotLive, schedule
from loadtest.peers.contenders import Proxy
from loadtest.peers.machine import describe, raise_open_files
from loadtest.peers.process import PeersError, find_program

SCENARIOS: Final = Path(__file__).parents[1] / "arena" / "scenarios" / "live.yaml"
RESULTS: Final = Path("results")
DOCS: Final = Path("docs/arena-live.md")
FIRST_SEED: Final = 100  # 0-9 are for tuning
OPEN_FILES: Final = 16_384
TURN_OVERHEAD_S: Final = 1.0  # of a turn: the client's start, the last answers
EXIT_MARK_MISSED, EXIT_USAGE, EXIT_FAILED, EXIT_INTERRUPTED = 1, 2, 3, 130

words = Console(stderr=True)


def main(
    *,
    scenario: Annotated[Path, typer.Option(help="scenario file")] = SCENARIOS,
    only: Annotated[str, typer.Option(help="scenarios whose name contains this")] = "antagonist",
    contenders: Annotated[
        str, typer.Option(help="by comma: nginx, haproxy, envoy, policies of ours")
    ] = ",".join(DEFAULT),
    rounds: Annotated[int, typer.Option(min=1, help="turns of each contender")] = 3,
    again: Annotated[
        int, typer.Option(min=0, help="disturbed turns that may be done once more, in all")
    ] = 3,
    first_seed: Annotated[int, typer.Option(help="of the first round")] = FIRST_SEED,
    requests: Annotated[
        int, typer.Option(min=0, help="measured in a turn; 0: as the scenario says")
    ] = 0,
    access_logs: Annotated[
        Path | None, typer.Option(help="a folder for our balancers' access logs, to be replayed")
    ] = None,
    update_docs: Annotated[bool, typer.Option(help=f"rewrite {DOCS}")] = False,
) -> None:
    """Run scenarios with real processes, and simulate them beside it."""
    names = tuple(dict.fromkeys(name for name in contenders.split(",") if name))
    seeds = tuple(range(first_seed, first_seed + rounds))
    try:
        chosen = [each for each in read_scenarios(scenario) if only in each.name]
        chosen = [replace(each, requests=requests or each.requests) for each in chosen]
        proxies = [contender(name, access_logs) for name in names]
        for each in chosen:
            schedule(each, seeds[0])  # whether it can be
    except (BadScenario, NotLive, ValueError) as error:
        raise _end(str(error), EXIT_USAGE) from None
    if not chosen or not proxies:
        nothing = f"no scenario is called {only!r}" if proxies else "no contender is named"
        raise _end(nothing, EXIT_USAGE)
    lasts_s = sum(len(proxies) * rounds * (each.duration_s + TURN_OVERHEAD_S) for each in chosen)
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT too: a shell's background ignores it
        signal.signal(number, _interrupt)
    words.print(f"about {lasts_s / 60:.1f} minutes, then the simulation", highlight=False)
    try:
        programs = _programs(proxies)
        described = describe()
        raise_open_files(OPEN_FILES)
        if access_logs is not None:
            access_logs.mkdir(parents=True, exist_ok=True)
        results = [_result(each, proxies, programs, seeds, again) for each in chosen]
    except PeersError as error:
        raise _end(str(error), EXIT_FAILED) from None
    except KeyboardInterrupt:
        raise _end("stopped; nothing is left running", EXIT_INTERRUPTED) from None
    # As a person would type it: the interpreter's path says nothing.
    command = " ".join(["python -m loadtest.live", *sys.argv[1:]])
    versions = {p.name: _version(p, programs[p.name]) for p in proxies if p.name in OTHERS}
    said = report.about(command, versions, described)
    print("\n\n".join([said, *map(report.text, results)]))
    facts = {"command": command, "machine": described, "versions": versions}
    words.print(f"written: {report.write_json(results, facts, RESULTS)}")
    if update_docs:
        try:
            report.update_docs(results, said, DOCS)
        except (OSError, NoPlace) as error:
            raise _end(str(error), EXIT_FAILED) from None
        words.print(f"written: {DOCS}")
    if not all(mark.kept for result in results for mark in marks(result)):
        raise typer.Exit(EXIT_MARK_MISSED)


def _result(
    scenario: Scenario,
    proxies: Sequence[Proxy],
    programs: Mapping[str, str],
    seeds: tuple[int, ...],
    again: int,
) -> Result:
    names = tuple(proxy.name for proxy in proxies)
    turns: list[Turn] = []
    rng = Random()
    words.print(f"{scenario.name}: starting {scenario.size} workers and {len(proxies)} balancers")
    with fleet(scenario, rng) as workers, field(proxies, programs, workers, rng) as standing:
        for turn in play(scenario, standing, workers, seeds, again=again):
            turns.append(turn)
            strain = f"; {turn.strain}" if turn.strain else ""
            strain += "" if turn.counts else "; once more"
            words.print(
                f"round {turn.round + 1}, {report.title(turn.contender)}: p99 "
                f"{turn.p99_s * 1000:,.0f} ms{strain}",
                highlight=False,
            )
    return Result(scenario, seeds, names, tuple(turns), beside(scenario, names, seeds))


def _programs(proxies: Sequence[Proxy]) -> dict[str, str]:
    found = {}
    for proxy in proxies:
        program = find_program(proxy)
        if program is None:
            rest = ",".join(p.name for p in proxies if p is not proxy)
            raise PeersError(
                f"{proxy.program} is missing ({proxy.package}); install it, or leave it out: "
                f"--contenders {rest}"
            )
        found[proxy.name] = program
    return found


def _version(proxy: Proxy, program: str) -> str:
    """The first thing with dots in what the program says of itself."""
    said = subprocess.run(
        [program, *proxy.version_argv], capture_output=True, text=True, check=False, timeout=10
    )
    found = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
    return found.group() if found else "of unknown version"


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _end(message: str, code: int) -> typer.Exit:
    Console(stderr=True).print(f"arena-live: {message}", style="red", markup=False, soft_wrap=True)
    return typer.Exit(code)


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    app(prog_name="python -m loadtest.live")
