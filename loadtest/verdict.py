"""Whether a run counts, and why not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from loadtest.generator import JUDGED_CODES, STOPPED_CODES, exit_meaning
from loadtest.plan import Plan

# Arrivals that found no free virtual user are load that was planned and never sent. A handful while
# k6 warms up is noise; from one in a thousand on, the run measured the generator.
DROPPED_LIMIT: Final = 0.001


class Outcome(StrEnum):
    """What the whole run is worth."""

    PASSED = "passed"
    FAILED = "failed"
    SATURATED = "generator saturated: not a result"
    INTERRUPTED = "interrupted"
    BROKEN = "k6 failed"

    @property
    def exit_code(self) -> int:
        return _EXIT_CODES[self]


_EXIT_CODES: Final = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.SATURATED: 5,
    Outcome.BROKEN: 6,
    Outcome.INTERRUPTED: 130,
}


@dataclass(frozen=True, slots=True)
class Threshold:
    """One demand on one cluster and whether it was met."""

    cluster: str
    metric: str
    demand: str
    met: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    outcome: Outcome
    reasons: tuple[str, ...]


def thresholds(summary: Mapping[str, Any]) -> tuple[Threshold, ...]:
    """Out of what `handleSummary` was given: `metrics[name].thresholds[expression].ok`."""
    found: list[Threshold] = []
    for name, metric in sorted(summary.get("metrics", {}).items()):
        plain, _, tags = name.partition("{")
        cluster = next(
            (
                value
                for key, _, value in (tag.partition(":") for tag in tags.rstrip("}").split(","))
                if key == "scenario"
            ),
            "",
        )
        for demand, state in sorted(metric.get("thresholds", {}).items()):
            found.append(Threshold(cluster, plain, demand, bool(state.get("ok"))))
    return tuple(found)


def _unmet(threshold: Threshold, failed: Mapping[str, int], made: Mapping[str, int]) -> str:
    """In plain words; k6's own expression only where there are none."""
    name = threshold.cluster
    if threshold.metric == "http_req_duration":
        return f"{name}: latency {threshold.demand} ms was not met"
    if threshold.metric in ("checks", "http_req_failed") and name in failed:
        return f"{name}: {failed[name]:,} of {made[name]:,} requests failed"
    return f"{name}: {threshold.metric} {threshold.demand} was not met"


def judge(
    plan: Plan,
    *,
    requests: Mapping[str, int],
    failed_requests: Mapping[str, int],
    dropped: Mapping[str, int],
    met: Sequence[Threshold],
    exit_codes: Sequence[int],
    interrupted: bool,
    last_words: str = "",
) -> Verdict:
    """The worst finding names the outcome; every finding is among the reasons.

    requests, failed_requests, dropped: by cluster. exit_codes: of every k6 process of the run.
    """
    broken = [
        exit_meaning(code) + (f": {last_words}" if last_words else "")
        for code in exit_codes
        if code not in JUDGED_CODES and not (interrupted and code in STOPPED_CODES)
    ]
    saturated = [
        f"{name}: k6 dropped {dropped[name]} of {dropped[name] + requests[name]} arrivals "
        "(no virtual user was free): raise --vus, lower --rate, or the target is overloaded"
        for name in dropped
        if dropped[name] > DROPPED_LIMIT * max(dropped[name] + requests[name], 1)
    ]
    failed = list(
        dict.fromkeys(_unmet(each, failed_requests, requests) for each in met if not each.met)
    )
    failed += [f"{name}: no request was made" for name, count in requests.items() if count == 0]
    if not interrupted and plan.scenario.closed_loop:
        failed += [
            f"{name}: {count} of {plan.requests} requests were made"
            for name, count in requests.items()
            if 0 < count < plan.requests
        ]
    reasons = tuple(broken + saturated + failed)
    if interrupted:
        return Verdict(Outcome.INTERRUPTED, ("stopped before its end", *reasons))
    if broken:
        return Verdict(Outcome.BROKEN, reasons)
    if saturated:
        return Verdict(Outcome.SATURATED, reasons)
    return Verdict(Outcome.FAILED if failed else Outcome.PASSED, reasons)
