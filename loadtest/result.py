"""What was measured, as frozen data, and the files of a run.

One folder a run:

- ``run.json``               everything below, read back by `read_result`
- ``<cluster>.json``         the figures of one cluster
- ``<cluster>.csv``          its time series, one row a slice of time
- ``cpu.csv``                CPU per target over time, where it was measured
- ``k6-plan-*.json``, ``k6-summary-*.json``, ``k6-log-*.txt``   what k6 was given, and its own words
- ``report.html``, ``report.md``
"""

from __future__ import annotations

import csv
import dataclasses
import json
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, Final

from loadtest.cpu import CpuReading
from loadtest.measure import Bin, Latency, Slice
from loadtest.plan import ClusterLoad, Plan, Scenario
from loadtest.verdict import Outcome, Threshold, Verdict

FORMAT: Final = 1


class ResultUnreadable(ValueError):
    """A folder holds no run that can be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterResult:
    """Figures of one cluster.

    duration_s: from the start of its first request to the end of its last response.
    latency: of answers with status 200; None without any. failures: failed requests by cause.
    targets: answers with status 200 by the instance id in the answer.
    """

    name: str
    url: str
    requests: int
    failed: int
    dropped: int
    duration_s: float
    rate_per_s: float
    latency: Latency | None
    statuses: dict[str, int]
    failures: dict[str, int]
    targets: dict[str, int]
    slices: tuple[Slice, ...]
    bins: tuple[Bin, ...]

    @property
    def failed_share(self) -> float:
        return self.failed / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine the generator ran on, and what the generator took of it."""

    cpus: int
    system: str
    generator: str
    generator_cpu_s: float
    busy_share: float  # 0..1, mean over the run, all CPUs, everything on the machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run. `began_at`: UTC, ISO 8601."""

    plan: Plan
    began_at: str
    wall_s: float
    host: Host
    clusters: tuple[ClusterResult, ...]
    thresholds: tuple[Threshold, ...]
    verdict: Verdict
    exit_codes: tuple[int, ...]
    notes: tuple[str, ...]
    cpu: tuple[CpuReading, ...]
    cpu_words: str

    @property
    def title(self) -> str:
        return f"{self.plan.scenario.value} on {self.plan.target}"


def write_result(result: Result, folder: Path) -> None:
    """All files of the run except k6's own and the reports."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "run.json", {"format": FORMAT} | dataclasses.asdict(result))
    for cluster in result.clusters:
        _write_json(folder / f"{cluster.name}.json", dataclasses.asdict(cluster))
        _write_slices(folder / f"{cluster.name}.csv", cluster.slices)
    if result.cpu:
        with (folder / "cpu.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(["at_s", "target", "cpu_share"])
            rows.writerows((f"{r.at_s:.3f}", r.target, f"{r.share:.4f}") for r in result.cpu)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, default=_plain) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def _write_slices(path: Path, slices: tuple[Slice, ...]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(
            ["start_s", "width_s", "requests", "failed", "rate_per_s", "p50_ms", "p95_ms", "p99_ms"]
        )
        for each in slices:
            known = ("" if ms is None else f"{ms:.3f}" for ms in _latencies(each))
            rows.writerow(
                [
                    f"{each.start_s:.3f}",
                    f"{each.width_s:.3f}",
                    each.requests,
                    each.failed,
                    f"{each.rate_per_s:.1f}",
                    *known,
                ]
            )


def _latencies(each: Slice) -> tuple[float | None, float | None, float | None]:
    return each.p50_ms, each.p95_ms, each.p99_ms


def read_result(folder: Path) -> Result:
    """The run in `folder` (or in its `run.json`, given as such). Raises ResultUnreadable."""
    path = folder if folder.name == "run.json" else folder / "run.json"
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        if whole.pop("format") != FORMAT:
            raise ResultUnreadable(f"{path} was written by another version")
        return _result(whole)
    except OSError as error:
        raise ResultUnreadable(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, ResultUnreadable):
            raise
        raise ResultUnreadable(f"{path} is not a run of this program") from error


def _result(whole: dict[str, Any]) -> Result:
    plan = whole["plan"]
    verdict = whole["verdict"]
    return Result(
        plan=Plan(
            **plan
            | {
                "scenario": Scenario(plan["scenario"]),
                "clusters": tuple(ClusterLoad(**each) for each in plan["clusters"]),
                "tags": tuple((key, value) for key, value in plan["tags"]),
            }
        ),
        began_at=whole["began_at"],
        wall_s=whole["wall_s"],
        host=Host(**whole["host"]),
        clusters=tuple(_cluster(each) for each in whole["clusters"]),
        thresholds=tuple(Threshold(**each) for each in whole["thresholds"]),
        verdict=Verdict(Outcome(verdict["outcome"]), tuple(verdict["reasons"])),
        exit_codes=tuple(whole["exit_codes"]),
        notes=tuple(whole["notes"]),
        cpu=tuple(CpuReading(**each) for each in whole["cpu"]),
        cpu_words=whole["cpu_words"],
    )


def _cluster(each: dict[str, Any]) -> ClusterResult:
    latency = each["latency"]
    return ClusterResult(
        **each
        | {
            "latency": None if latency is None else Latency(**latency),
            "slices": tuple(Slice(**one) for one in each["slices"]),
            "bins": tuple(Bin(**one) for one in each["bins"]),
        }
    )
