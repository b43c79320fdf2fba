"""Records, logs and measurements -> what was lost, why, and whether that may be.

What may be lost, each counted by itself: an answer that had already begun; what a killed data-plane
process held; what the retry budget refused; a new connection closed at accept while descriptors or
places ran out; a POST, which is never sent twice, so that its target's fault is the client's loss.
Everything else is a failure of the balancer.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from loadtest.chaos.balancer import Held
from loadtest.chaos.connection import Outcome, Record
from loadtest.chaos.faults import Strike
from loadtest.chaos.plan import Kind

MEMORY_SHARE: Final = 0.15  # how much a process may be larger at the end: allocators keep some
MEMORY_BYTES: Final = 4 * 1024 * 1024
BETWEEN: Final = "between faults"
BUDGET_CODE: Final = "502 retry_budget"
STARVED_CODE: Final = "503 out_of_descriptors"


class Cause(enum.Enum):
    """Why a request was not answered. The value is (words, may be for a GET, for a POST)."""

    BEGUN = ("its answer had begun", True, True)
    HELD = ("held by a killed data-plane process", True, True)
    BUDGET = ("refused by the retry budget", True, True)
    ACCEPT = ("closed at accept: no place or descriptor left", True, True)
    NO_DESCRIPTOR = ("no descriptor left for a target", True, True)
    TARGET = ("its target failed (502)", False, True)
    TIMEOUT = ("its target was too late (504)", False, True)
    NO_TARGET = ("no target was eligible (503)", False, False)
    OTHER = ("another refusal", False, False)
    LOST = ("connection lost without an answer", False, False)
    UNCONNECTED = ("no connection to the balancer", False, False)
    HUNG = ("no end within the deadline", False, False)
    WRONG = ("an answer that is not its own", False, False)
    UNSENT = ("never sent: the load generator was full", False, False)

    def allowed(self, method: str) -> bool:
        """Whether a request of the method may end so."""
        _, get, post = self.value
        return get if method == "GET" else post

    @property
    def words(self) -> str:
        """For the report."""
        return self.value[0]


_CAUSES: Final = {
    Outcome.BEGUN: Cause.BEGUN,
    Outcome.LOST: Cause.LOST,
    Outcome.UNCONNECTED: Cause.UNCONNECTED,
    Outcome.HUNG: Cause.HUNG,
    Outcome.WRONG: Cause.WRONG,
    Outcome.UNSENT: Cause.UNSENT,
}
_REFUSALS: Final = {"502": Cause.TARGET, "503": Cause.NO_TARGET, "504": Cause.TIMEOUT}


@dataclass(frozen=True, slots=True)
class Ending:
    """What was measured when the load was over."""

    start: Sequence[Held]
    end: Sequence[Held]
    pending: int
    unasked: int  # connections on which bytes came that nobody had asked for


@dataclass(frozen=True, slots=True)
class Verdict:
    """`failed` counts by (method, cause); `by_fault` by (kind or `BETWEEN`, method, cause)."""

    sent: Counter[str]
    answered: Counter[str]
    failed: Counter[tuple[str, Cause]]
    by_fault: Counter[tuple[str, str, Cause]]
    strikes: Counter[str]
    twice: tuple[str, ...]  # POSTs that reached targets more than once
    unseen: tuple[str, ...]  # answered, but no target had them
    problems: tuple[str, ...]  # everything that makes it fail, in words

    @property
    def held(self) -> bool:
        """The balancer kept its promises."""
        return not self.problems


def cause_of(record: Record, strike: Strike | None) -> Cause:
    """Why a request that was not answered was not; `strike` is the fault it fell into."""
    kind = strike.fault.kind if strike is not None else None
    if record.outcome is Outcome.REFUSED:
        if record.detail == BUDGET_CODE:
            return Cause.BUDGET
        if record.detail == STARVED_CODE and kind is Kind.DESCRIPTORS:
            return Cause.NO_DESCRIPTOR
        return _REFUSALS.get(record.detail[:3], Cause.OTHER)
    cause = _CAUSES[record.outcome or Outcome.HUNG]
    if cause is Cause.LOST:
        if strike is not None and record.port in strike.held:
            return Cause.HELD
        if kind is Kind.DESCRIPTORS and record.fresh:
            return Cause.ACCEPT
    return cause


def judge(
    records: Sequence[Record], strikes: Sequence[Strike], seen: Counter[str], ending: Ending
) -> Verdict:
    """Everything sent, against everything that targets saw."""
    failed: Counter[tuple[str, Cause]] = Counter()
    by_fault: Counter[tuple[str, str, Cause]] = Counter()
    for record in records:
        if record.outcome is not Outcome.ANSWERED:
            strike = _strike_at(record, strikes)
            cause = cause_of(record, strike)
            failed[record.method, cause] += 1
            place = strike.fault.kind.value if strike is not None else BETWEEN
            by_fault[place, record.method, cause] += 1
    answered = [record for record in records if record.outcome is Outcome.ANSWERED]
    twice = tuple(name for name, count in seen.items() if name.startswith("P-") and count > 1)
    unseen = tuple(record.request_id for record in answered if not seen[record.request_id])
    problems = [
        f"{count} {method}s lost: {cause.words}"
        for (method, cause), count in failed.items()
        if not cause.allowed(method)
    ]
    problems += [f"{strike.fault}: {strike.problem}" for strike in strikes if strike.problem]
    if twice:
        problems.append(f"{len(twice)} POSTs sent twice: {', '.join(twice[:5])}")
    if unseen:
        problems.append(f"{len(unseen)} answers that no target gave")
    if ending.unasked:
        problems.append(f"{ending.unasked} connections brought bytes that nobody asked for")
    if ending.pending:
        problems.append(f"pending stays at {ending.pending}")
    problems += grown(ending.start, ending.end)
    return Verdict(
        sent=Counter(record.method for record in records),
        answered=Counter(record.method for record in answered),
        failed=failed,
        by_fault=by_fault,
        strikes=Counter(strike.fault.kind.value for strike in strikes),
        twice=twice,
        unseen=unseen,
        problems=tuple(problems),
    )


def _strike_at(record: Record, strikes: Iterable[Strike]) -> Strike | None:
    """The fault during which a request was out; the last one, when there were two."""
    found = None
    for strike in strikes:
        if record.due <= strike.whole and strike.began <= record.ended:
            found = strike
    return found


def grown(start: Sequence[Held], end: Sequence[Held]) -> list[str]:
    """What holds more than at the start, role by role (processes are replaced meanwhile)."""
    problems = []
    for role in dict.fromkeys(held.role for held in start):
        before = [held for held in start if held.role == role]
        after = [held for held in end if held.role == role]
        if len(after) != len(before):
            problems.append(f"{len(after)} {role} processes, at the start {len(before)}")
            continue
        most = max(held.rss_bytes for held in before)
        limit = most * (1 + MEMORY_SHARE) + MEMORY_BYTES
        large = max(held.rss_bytes for held in after)
        if large > limit:
            problems.append(f"{role} grew from {most >> 20} to {large >> 20} MiB")
        files = max(held.descriptors for held in before)
        many = max(held.descriptors for held in after)
        if many > files:
            problems.append(f"{role} holds {many} descriptors, at the start {files}")
    return problems
