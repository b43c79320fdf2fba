"""What came out, for three readers: the terminal, JSON, docs/arena-live.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Final

from loadtest.arena.compare import ORACLE
from loadtest.arena.output import between
from loadtest.arena.table import markdown, milliseconds
from loadtest.live.contenders import OTHERS
from loadtest.live.judge import (
    Disagreement,
    Result,
    disagreements,
    marks,
    order,
    rows,
    strains,
)

PLACE: Final = "live"  # the name of the markers in the document
HEADINGS: Final = (
    "contender",
    "p99 live",
    "rounds",
    "/ best of nginx, HAProxy",
    "/ Envoy",
    "p99 simulated",
    "/ best of both",
    "/ Envoy's",
    "simulated / live",
    "failed",
)


def text(result: Result) -> str:
    """Table, orders, disagreements, marks and the machine's part, as Markdown."""
    oracle_s = median(figures.p99_s for figures in result.simulated[ORACLE])
    shown = disagreements(result)
    lines = [
        f"### {result.scenario.name}",
        "",
        f"{_sentence(result.scenario.why)} {result.scenario.rate:,.0f} requests a second, "
        f"{result.scenario.work.mean_s * 1000:.0f} ms of work each on average; "
        f"{len(result.seeds)} rounds of {result.scenario.requests:,} requests, seeds "
        f"{result.seeds[0]} to {result.seeds[-1]}. Latencies in ms, medians of the rounds.",
        "",
        markdown(HEADINGS, _cells(result)),
        "",
        f"The simulated oracle, which knows the speeds, has {milliseconds(oracle_s)} ms.",
        "",
        f"- live order: {', '.join(map(title, order(result, live=True)))}",
        f"- simulated order: {', '.join(order(result, live=False))}",
        *(f"- disagreement: {_words(each)}" for each in shown),
        *([] if shown else ["- no pair is ordered otherwise"]),
        *(f"- {mark}" for mark in marks(result)),
        f"- the real machine: {machine(result)}",
    ]
    return "\n".join(lines)


def _cells(result: Result) -> list[tuple[str, ...]]:
    return [
        (
            title(row.contender),
            milliseconds(row.live_s),
            f"{milliseconds(row.low_s)} - {milliseconds(row.high_s)}",
            _ratio(row.to_best),
            _ratio(row.to_envoy),
            milliseconds(row.simulated_s),
            _ratio(row.simulated_to_best),
            _ratio(row.simulated_to_envoy),
            f"{1 + row.error:.2f}",
            str(row.failures),
        )
        for row in rows(result)
    ]


def machine(result: Result) -> str:
    """What the real machine had to do with it."""
    turns = result.turns
    late_ms = max(turn.late_p99_s for turn in turns) * 1000
    look_ms = max(turn.look_p99_s for turn in turns) * 1000
    said = (
        f"CPUs {min(turn.busy for turn in turns):.0%} to {max(turn.busy for turn in turns):.0%} "
        f"busy; requests left at most {late_ms:.1f} ms late and an answer without work took at "
        f"most {look_ms:.1f} ms (p99 of each turn, the worst turn)"
    )
    if again := len(result.tried) - len(turns):
        said += f"; {again} disturbed turns were done again"
    found = strains(result)
    if not found:
        return f"{said}: not in the way"
    return f"{said}. IN THE WAY in {len(found)} of {len(turns)} turns: {'; '.join(found[:6])}"


def _words(each: Disagreement) -> str:
    sure = "in every round" if each.clear else "in the median, not in every round"
    return (
        f"simulated {title(each.first)} before {title(each.second)} "
        f"({each.simulated:.2f} times its p99), live behind {sure} "
        f"({each.live:.2f}; {each.low:.2f} - {each.high:.2f})"
    )


def title(contender: str) -> str:
    """As tables call it."""
    return OTHERS[contender].title if contender in OTHERS else contender


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}." if words else ""


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def about(command: str, versions: Mapping[str, str], described: Mapping[str, str]) -> str:
    """When, how and where it was measured."""
    named = ", ".join(f"{title(name)} {version}" for name, version in versions.items())
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d} by `{command}` on {described['cores']} cores "
        f"({described['processor']}), {described['memory']}, Linux {described['kernel']}, load "
        f"average {described['load']} at the start. {named}."
    )


def write_json(results: Sequence[Result], said: Mapping[str, object], folder: Path) -> Path:
    """All turns and simulated runs, unrounded, with the verdicts. Returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"arena-live-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    content = {
        **said,
        "scenarios": [
            {
                "scenario": result.scenario.name,
                "seeds": result.seeds,
                "rows": [asdict(row) | {"error": row.error} for row in rows(result)],
                "order_live": order(result, live=True),
                "order_simulated": order(result, live=False),
                "disagreements": [asdict(each) for each in disagreements(result)],
                "marks": [asdict(mark) | {"kept": mark.kept} for mark in marks(result)],
                "strains": strains(result),
                "turns": [asdict(turn) for turn in result.tried],
                "simulated": {
                    policy: [asdict(each) for each in runs]
                    for policy, runs in result.simulated.items()
                },
            }
            for result in results
        ],
    }
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return file


def update_docs(results: Sequence[Result], said: str, file: Path) -> None:
    """Rewrite what is between the markers. Raises NoPlace, OSError."""
    words = "\n\n".join([said, *map(text, results)])
    file.write_text(between(file.read_text(encoding="utf-8"), PLACE, words), encoding="utf-8")
