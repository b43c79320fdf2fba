"""``report.md``: tables for pasting into an issue, a README or a thesis."""

from __future__ import annotations

from collections.abc import Sequence

from loadtest.compare import by_machine
from loadtest.report.words import HEADINGS, facts, mark, row
from loadtest.result import Result


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; every column but the first is right-aligned."""
    lines = [_line(headings), _line(["---", *["---:"] * (len(headings) - 1)])]
    return "\n".join([*lines, *(_line(cells) for cells in rows)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def markdown_report(results: Sequence[Result], *, title: str, intro: str) -> str:
    parts = [f"# {title}"]
    if intro:
        parts.append(intro)
    for result in results:
        outcome = result.verdict.outcome
        parts += [
            f"## {result.title}",
            f"**{mark(outcome)} {outcome.value}**",
            "\n".join(f"- {reason}" for reason in (*result.verdict.reasons, *result.notes)),
            table(HEADINGS, [row(cluster) for cluster in result.clusters]),
            _targets(result),
            _cpu(result),
            "\n".join(f"- {name}: {value}" for name, value in facts(result)),
            "Time runs from the first request to the last response of a cluster; latency is of "
            "answers with status 200, from the first byte sent to the last received.",
        ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _targets(result: Result) -> str:
    rows = [
        (
            target,
            cluster.name,
            f"{number:,}",
            f"{number / max(sum(cluster.targets.values()), 1):.1%}",
        )
        for cluster in result.clusters
        for target, number in cluster.targets.items()
    ]
    return table(("target", "cluster", "answers", "share"), rows) if rows else ""


def _cpu(result: Result) -> str:
    rows = [(name, f"{share:.1%}") for name, share in by_machine(result).items()]
    caption = f"CPU: {result.cpu_words}." if result.cpu_words else ""
    return f"{table(('machine', 'mean CPU'), rows)}\n\n{caption}" if rows else caption
