"""The part of a page of docs/ that a command writes: found by its markers, rewritten whole."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from loadtest.peers.machine import describe


def rewrite(file: Path, part: str, command: str, text: str) -> None:
    """Put `text` between the markers of `part`. Raises ValueError when they are lost."""
    begin = f"<!-- {part}: begin; written by `{command}`, edits are lost -->"
    end = f"<!-- {part}: end -->"
    before, found, rest = file.read_text().partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{file} has lost its markers: {begin} ... {end}")
    file.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown; all columns but the first are numbers."""
    lines = [f"| {' | '.join(headings)} |", "|---" + "|---:" * (len(headings) - 1) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def measured(command: str) -> str:
    """When, by which command and on what machine."""
    m = describe()
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `{command}` on {m['cores']} cores "
        f"({m['processor']}), Linux {m['kernel']}, load average {m['load']} at the end."
    )
