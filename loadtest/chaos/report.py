"""The verdict in words: a table of what was sent and lost, by cause and by fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from loadtest.chaos.balancer import Held
from loadtest.chaos.verdict import BETWEEN, Ending, Verdict


def lines(verdict: Verdict, ending: Ending, *, seconds: float, late_s: float) -> Iterator[str]:
    """Line by line."""
    for method in sorted(verdict.sent):
        sent, answered = verdict.sent[method], verdict.answered[method]
        yield f"{method:5} {sent:7} sent  {answered:7} answered  {sent - answered:5} failed"
    for (method, cause), count in sorted(verdict.failed.items(), key=lambda x: -x[1]):
        sign = " " if cause.allowed(method) else "!"
        yield f"  {sign} {count:5} {method:4} {cause.words}"
    yield ""
    for place in [*sorted(verdict.strikes), BETWEEN]:
        times = f"{verdict.strikes[place]} x " if place in verdict.strikes else ""
        losses = "; ".join(
            f"{count} {method} {cause.words}"
            for (where, method, cause), count in sorted(
                verdict.by_fault.items(), key=lambda x: -x[1]
            )
            if where == place
        )
        yield f"  {times}{place}: {losses or 'nothing lost'}"
    yield ""
    yield f"POSTs that reached a target twice: {len(verdict.twice)}"
    yield f"pending at the end: {ending.pending}"
    yield f"at the start: {_held(ending.start)}"
    yield f"at the end:   {_held(ending.end)}"
    yield f"{seconds:.0f} s of faults; in {late_s:.1f} s of them the generator was too late to send"
    yield ""
    if verdict.held:
        yield "held: nothing was lost that could have been kept"
    for problem in verdict.problems:
        yield f"NOT held: {problem}"


def _held(held: Sequence[Held]) -> str:
    return ", ".join(f"{h.role} {h.rss_bytes >> 20} MiB {h.descriptors} files" for h in held)
