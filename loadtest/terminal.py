"""What the terminal shows: a progress bar while k6 runs, a table when it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.table import Table
from rich.text import Text

from loadtest.compare import Comparison
from loadtest.drive import OnProgress
from loadtest.progress import Progress
from loadtest.report.comparison import EXPLAINED, headings, text_row
from loadtest.report.words import HEADINGS, mark, milliseconds, row
from loadtest.result import Result
from loadtest.verdict import Outcome

LINE_EVERY_S = 3.0  # where there is no terminal to redraw
STYLES = {Outcome.PASSED: "green", Outcome.INTERRUPTED: "yellow"}


def state(progress: Progress) -> str:
    """The figures beside the bar."""
    dropped = f", {progress.dropped:,} dropped" if progress.dropped else ""
    return (
        f"{progress.requests:,} requests, {progress.rate_per_s:,.0f}/s, "
        f"p95 {milliseconds(progress.p95_ms)} ms, {progress.failed:,} errors{dropped}"
    )


@contextmanager
def shown(console: Console) -> Iterator[OnProgress]:
    """A callback for `drive`: a bar on a terminal, else a line every few seconds."""
    if console.is_terminal:
        with Bar(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[state]}"),
            TimeElapsedColumn(),
            console=console,
        ) as bar:
            tasks: dict[str, TaskID] = {}

            def redraw(progress: Progress) -> None:
                if progress.label not in tasks:
                    tasks[progress.label] = bar.add_task(progress.label, total=1.0, state="")
                bar.update(tasks[progress.label], completed=progress.share, state=state(progress))

            yield redraw
        return
    last: dict[str, float] = {}

    def line(progress: Progress) -> None:
        now = time.monotonic()
        if now - last.setdefault(progress.label, now) >= LINE_EVERY_S:
            last[progress.label] = now
            words = f"{progress.label}: {progress.elapsed_s:.0f} s, {state(progress)}"
            console.print(words, markup=False, highlight=False, soft_wrap=True)

    yield line


def summary_table(result: Result) -> Table:
    """A row a figure and a column a cluster, which fits into any terminal."""
    table = Table(title=result.title, title_justify="left")
    table.add_column(HEADINGS[0])
    columns = [row(cluster) for cluster in result.clusters]
    for name, *_ in columns:
        table.add_column(name, justify="right", overflow="fold")
    for heading, *cells in list(zip(HEADINGS, *columns, strict=True))[1:]:
        table.add_row(heading, *(Text(cell) for cell in cells))
    return table


def print_result(console: Console, result: Result) -> None:
    """Table, verdict, reasons, notes."""
    outcome = result.verdict.outcome
    console.print(summary_table(result))
    console.print(Text(f"{mark(outcome)} {outcome.value}", style=STYLES.get(outcome, "red")))
    for reason in (*result.verdict.reasons, *result.notes):
        console.print(Text(f"  {reason}"))


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Warnings first, then the runs side by side."""
    for warning in comparison.warnings:
        console.print(Text(f"! {warning}", style="yellow"))
    table = Table()
    for at, heading in enumerate(headings(comparison)):
        table.add_column(heading, justify="left" if at < 2 else "right", overflow="fold")
    previous = ""
    for line in comparison.rows:
        if previous not in ("", line.cluster):
            table.add_section()
        previous = line.cluster
        table.add_row(*(Text(cell) for cell in text_row(line)))
    console.print(table)
    console.print(EXPLAINED, style="dim")
