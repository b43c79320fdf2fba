"""What came out, for three readers: JSON for programs, text for the terminal, Markdown for docs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from loadtest.peers.contenders import BASELINE, COMPILED, OURS, title_of
from loadtest.peers.idle import IdleResult
from loadtest.peers.marks import Mark, marks
from loadtest.peers.measure import Run
from loadtest.peers.plot import bars
from loadtest.peers.processes import ProcessesRun
from loadtest.peers.processes import summarize as two_to_one
from loadtest.peers.rounds import Summary, summarize
from loadtest.peers.scenario import SCENARIOS, SMALL
from loadtest.peers.thousand import Race

BEGIN: Final = "<!-- peers: begin; written by `make bench-peers`, edits are lost -->"
END: Final = "<!-- peers: end -->"
PLOT: Final = "benchmarks-peers.svg"

HEADINGS: Final = (
    "proxy",
    "req/CPU-s",
    "/ HAProxy",
    "req/s",
    "core busy",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
)
RACE_HEADINGS: Final = (
    "scenario",
    "proxy",
    "median s",
    "fastest s",
    "slowest s",
    "/ HAProxy",
)
PROCESSES_HEADINGS: Final = (
    "build",
    "req/CPU-s, one",
    "req/CPU-s, two",
    "a core each, even halves",
    "halves as they were",
)
IDLE_HEADINGS: Final = ("proxy", "connections", "bytes each")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one command measured; empty parts were not asked for."""

    command: str
    machine: dict[str, str]
    pinned: str
    versions: dict[str, str]
    seconds: int
    rounds: int
    runs: tuple[Run, ...] = ()
    latency_rate_per_s: float = 0.0
    latency_runs: tuple[Run, ...] = ()
    races: tuple[Race, ...] = ()
    idle: tuple[IdleResult, ...] = ()
    processes: tuple[ProcessesRun, ...] = ()
    failures: tuple[str, ...] = ()  # what could not be measured at all

    @property
    def marks(self) -> list[Mark]:
        """Those that this report can judge."""
        return list(marks(self.runs, self.latency_runs, self.races, self.idle, self.processes))


def faults(report: Report) -> list[str]:
    """Every run that does not count and every part that could not be made, with the reason."""
    lines = [
        f"{title_of(run.proxy)}, {run.scenario}, round {run.round + 1} is void: {run.void}"
        for run in (*report.runs, *report.latency_runs)
        if run.void
    ]
    lines += [
        f"{title_of(run.proxy)}, {run.processes} processes, round {run.round + 1} is void: "
        f"{run.void}"
        for run in report.processes
        if run.void
    ]
    lines += [f"{race.title}: {fault}" for race in report.races for fault in race.faults]
    return [*lines, *report.failures]


def rows(summaries: Sequence[Summary], baseline: str = BASELINE) -> list[list[str]]:
    """Cells under HEADINGS; `>=` marks a throughput that the generator set."""
    table = []
    for s in summaries:
        if len(s.void) == s.rounds:
            table.append([title_of(s.proxy), f"void: {s.void[0]}", "", "", "", "", "", ""])
            continue
        against = "-" if s.ratio is None else f"{s.ratio:.2f}"
        table.append(
            [
                title_of(s.proxy),
                f"{s.per_cpu_s:,.0f}",
                "1" if s.proxy == baseline else against,
                f"{'>= ' if s.limited else ''}{s.per_s:,.0f}",
                f"{min(s.busy, 1.0):.0%}",
                f"{s.p50_ms:.2f}",
                f"{s.p99_ms:.2f}",
                f"{s.p999_ms:.2f}",
            ]
        )
    return table


def markdown(report: Report) -> str:
    """The part of docs/benchmarks.md between the markers."""
    m = report.machine
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `{report.command}` on {m['cores']} cores "
        f"({m['processor']}), {m['memory']}, Linux {m['kernel']}, "
        f"load average {m['load']} at start; "
        f"{report.pinned}. "
        + ", ".join(f"{title_of(name)} {version}" for name, version in report.versions.items())
        + ".",
        "",
    ]
    if report.runs:
        lines += [
            f"Medians of {report.rounds} interleaved rounds of {report.seconds} s; ratios are "
            "medians of the rounds' own ratios. CPU is that of the proxy's whole process tree. "
            "`>=` before a throughput: the proxy's core was not busy, the generator set it.",
            "",
            f"![requests per CPU-second, small GET]({PLOT})",
            "",
        ]
    for name, title in _titles():
        runs = [run for run in report.runs if run.scenario == name]
        if runs:
            lines += [f"### {title}", "", *_table(HEADINGS, rows(summarize(runs, BASELINE)))]
    if report.latency_runs:
        lines += [
            "### Latency at half load",
            "",
            f"The same {report.latency_rate_per_s:,.0f} requests a second for all, Poisson "
            "arrivals, latency from the moment a request was due.",
            "",
            *_table(HEADINGS, rows(summarize(report.latency_runs, BASELINE))),
        ]
    if report.processes:
        lines += [
            "### Two data-plane processes",
            "",
            "One and two in turn on the proxy's core, 64 clients for each process, CPU of the "
            "whole tree. What two would do on a core each, times what one does: by what a request "
            "costs, if each gets its half; and by what the busier of them had to do, with the "
            "halves as they were.",
            "",
            *_table(PROCESSES_HEADINGS, processes_rows(report.processes)),
        ]
    if report.races:
        lines += ["### 1000 requests to real workers", ""]
        lines += _table(RACE_HEADINGS, race_rows(report.races))
    if report.idle:
        lines += ["### Idle client connections", "", "Each has had one request answered.", ""]
        lines += _table(IDLE_HEADINGS, idle_rows(report.idle))
    judged = report.marks
    if judged:
        lines += ["### Marks", "", *(f"- {mark}" for mark in judged), ""]
    wrong = faults(report)
    if wrong:
        lines += ["### Void", "", *(f"- {fault}" for fault in wrong), ""]
    return "\n".join(lines)


def race_rows(races: Sequence[Race]) -> list[list[str]]:
    table = []
    for race in races:
        for name, times in race.seconds.items():
            cells = [race.title, title_of(name)]
            if times:
                cells += [f"{t:.3f}" for t in (median(times), min(times), max(times))]
                cells += ["1" if name == BASELINE else _ratio(race.ratios.get(name))]
            else:
                cells += ["void", "", "", ""]
            table.append(cells)
    return table


def processes_rows(runs: Sequence[ProcessesRun]) -> list[list[str]]:
    return [
        [
            title_of(p.proxy),
            f"{p.one_per_cpu_s:,.0f}",
            f"{p.two_per_cpu_s:,.0f}",
            f"{p.even:.2f}",
            f"{p.as_they_were:.2f}",
        ]
        for p in two_to_one(runs)
    ]


def idle_rows(idle: Sequence[IdleResult]) -> list[list[str]]:
    return [[title_of(r.proxy), f"{r.connections:,}", f"{r.bytes_each:,.0f}"] for r in idle]


def plot(report: Report) -> str:
    """The small GET as bars."""
    small = summarize([r for r in report.runs if r.scenario == SMALL.name], BASELINE)
    values = [
        (title_of(s.proxy), s.per_cpu_s, s.proxy in (OURS.name, COMPILED.name)) for s in small
    ]
    return bars(
        f"Requests per CPU-second: {SMALL.title}", sorted(values, key=lambda v: v[1], reverse=True)
    )


def write_json(report: Report, folder: Path) -> Path:
    """All runs, unrounded, with the machine and the command. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"peers-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    file.write_text(json.dumps(asdict(report), indent=1) + "\n")
    return file


def update_docs(report: Report, file: Path) -> None:
    """Rewrite what is between the markers, and the plot beside it; the rest stays."""
    text = file.read_text()
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{file} has lost its markers: {BEGIN} ... {END}")
    file.write_text(f"{before}{BEGIN}\n\n{markdown(report)}\n{END}{after}")
    if report.runs:
        (file.parent / PLOT).write_text(plot(report))


def _titles() -> list[tuple[str, str]]:
    return [(s.name, s.title[0].upper() + s.title[1:]) for s in SCENARIOS]


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _table(headings: tuple[str, ...], cells: list[list[str]]) -> list[str]:
    lines = [f"| {' | '.join(headings)} |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return lines + [f"| {' | '.join(row)} |" for row in cells] + [""]
