"""What came out, for the terminal and for docs/local-cloud.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtest.lifecycle.clients import Noticed
from loadtest.lifecycle.story import Step

BEGIN: Final = "<!-- lifecycle: begin; written by `make bench-life`, edits are lost -->"
END: Final = "<!-- lifecycle: end -->"


def markdown(steps: Sequence[Step], count: int, machine: str) -> str:
    """Two tables: seconds of each command beside their mark, and what clients noticed."""
    lines = [
        f'`make bench-life ARGS="--count {count}"` on {machine}: {count} + {count} workers and a '
        "balancer.",
        "",
        "| command | seconds | at most |",
        "|---|---:|---:|",
        *(f"| {step.what} | {step.seconds:.1f} | {_most(step.most_s)} |" for step in steps),
        "",
        "| what clients noticed of it | answered | failed | longest time without an answer |",
        "|---|---:|---:|---:|",
    ]
    for step in steps:
        lines += [_noticed(step.what, one) for one in step.noticed]
    return "\n".join(lines) + "\n"


def missed(steps: Sequence[Step]) -> list[str]:
    """The marks that were not kept, each a line; empty when all were."""
    return [
        f"{step.what}: {step.seconds:.1f} s, at most {step.most_s:.0f} s were wanted"
        for step in steps
        if step.most_s is not None and step.seconds > step.most_s
    ]


def update_docs(text: str, file: Path) -> None:
    """Rewrite what is between the markers; the rest stays. ValueError when they are gone."""
    whole = file.read_text()
    before, found, rest = whole.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (found and ended):
        raise ValueError(f"{file} has lost its markers: {BEGIN} ... {END}")
    file.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")


def _most(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.0f}"


def _noticed(what: str, noticed: Noticed) -> str:
    failed = ", ".join(f"{count} {cause}" for cause, count in sorted(noticed.failed.items()))
    if noticed.skipped:
        failed = f"{failed or 0}; {noticed.skipped} not sent"
    return (
        f"| {what}, {noticed.kind} | {noticed.answered:,} | {failed or 0} | "
        f"{noticed.gap_s * 1000:,.0f} ms |"
    )
