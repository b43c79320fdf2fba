"""Two or more runs side by side; differences are against the first. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from loadtest.plan import Plan
from loadtest.result import ClusterResult, Result
from loadtest.verdict import Outcome

# What may differ between runs that are still the same experiment.
MAY_DIFFER: Final = frozenset({"target", "tags"})
NOTE: Final = "note"  # a tag of a plan that every comparison must tell its readers


class NotComparable(ValueError):
    """The runs were not asked for the same thing; the message says which settings differ."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number that can be compared. `better`: -1 lower, +1 higher, 0 neither."""

    name: str
    unit: str
    better: int


@dataclass(frozen=True, slots=True)
class Measured(Figure):
    """A figure that a cluster's result has of its own."""

    of: Callable[[ClusterResult], float | None]


def _latency(attribute: str) -> Callable[[ClusterResult], float | None]:
    def of(cluster: ClusterResult) -> float | None:
        value: float | None = getattr(cluster.latency, attribute, None)
        return value

    return of


FIGURES: Final = (
    Measured("requests", "", 0, lambda each: float(each.requests)),
    Measured("time", "s", -1, lambda each: each.duration_s),
    Measured("throughput", "requests/s", 1, lambda each: each.rate_per_s),
    Measured("p50", "ms", -1, _latency("p50_ms")),
    Measured("p90", "ms", -1, _latency("p90_ms")),
    Measured("p95", "ms", -1, _latency("p95_ms")),
    Measured("p99", "ms", -1, _latency("p99_ms")),
    Measured("max", "ms", -1, _latency("max_ms")),
    Measured("failed", "%", -1, lambda each: each.failed_share * 100),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A value and how far it is from the first run's; None where either is missing.

    relative: 0.1 is 10 % more; None also where the first value is 0.
    """

    value: float | None
    absolute: float | None = None
    relative: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one cluster over all runs, the first run first.

    The CPU of machines that are in no cluster's path, such as a balancer's own, stands under the
    name that their readings carry.
    """

    cluster: str
    figure: Figure
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`names` label the runs; `warnings` say what a reader must know before he believes it."""

    names: tuple[str, ...]
    results: tuple[Result, ...]
    rows: tuple[Row, ...]
    warnings: tuple[str, ...]


def compare(results: Sequence[Result], names: Sequence[str], *, force: bool = False) -> Comparison:
    """Raises NotComparable for fewer than two runs, and for different plans unless forced."""
    if len(results) < 2:
        raise NotComparable("a comparison needs at least two runs")
    labels = _told_apart(names)
    differing = [
        line
        for label, result in zip(labels[1:], results[1:], strict=True)
        for line in differences(results[0].plan, result.plan, labels[0], label)
    ]
    if differing and not force:
        raise NotComparable(
            "these runs are different experiments (--force compares them all the same):\n"
            + "\n".join(f"  {line}" for line in differing)
        )
    doubtful = [
        f"{label}: {result.verdict.outcome.value}"
        for label, result in zip(labels, results, strict=True)
        if result.verdict.outcome is not Outcome.PASSED
    ]
    if len({result.host.cpus for result in results}) > 1:
        doubtful.append("the generators ran on machines with different numbers of CPUs")
    told = [
        f"{label}: {words}"
        for label, result in zip(labels, results, strict=True)
        for name, words in result.plan.tags
        if name == NOTE
    ]
    rows = _rows(results) + _cpu_rows(results)
    return Comparison(labels, tuple(results), rows, tuple(differing + doubtful + told))


def _told_apart(names: Sequence[str]) -> tuple[str, ...]:
    seen: dict[str, int] = {}
    labels = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        labels.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(labels)


def differences(first: Plan, other: Plan, first_name: str, other_name: str) -> list[str]:
    """Settings that differ, one line each."""
    return [
        f"{field.name}: {_shown(one)} in {first_name}, {_shown(two)} in {other_name}"
        for field in dataclasses.fields(Plan)
        if field.name not in MAY_DIFFER
        and (one := getattr(first, field.name)) != (two := getattr(other, field.name))
    ]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(f"{each.name}={each.path}" for each in value)
    return str(getattr(value, "value", value))


def _rows(results: Sequence[Result]) -> tuple[Row, ...]:
    order = list(dict.fromkeys(each.name for result in results for each in result.clusters))
    by_name = [{each.name: each for each in result.clusters} for result in results]
    rows = []
    for name in order:
        for figure in FIGURES:
            values = [figure.of(one[name]) if name in one else None for one in by_name]
            cells = tuple(_cell(value, values[0]) for value in values)
            rows.append(Row(name, figure, (Cell(values[0]), *cells[1:])))
    return tuple(rows)


def _cpu_rows(results: Sequence[Result]) -> tuple[Row, ...]:
    """Mean CPU by cluster and by machine, of runs whose readings name `<cluster>/<machine>`."""
    by_run = [by_machine(result) for result in results]
    rows = []
    for group in sorted({name.partition("/")[0] for means in by_run for name in means}):
        inside = [{n: s for n, s in one.items() if n.partition("/")[0] == group} for one in by_run]
        overall = [sum(one.values()) / len(one) if one else None for one in inside]
        rows.append(_cpu_row(group, "CPU, mean of machines", overall))
        rows += [
            _cpu_row(group, f"CPU {name.partition('/')[2]}", [one.get(name) for one in inside])
            for name in sorted({name for one in inside for name in one})
        ]
    return tuple(rows)


def by_machine(result: Result) -> dict[str, float]:
    """Mean share of CPU, 0..1, over the run, of each reading's `<cluster>/<machine>`."""
    found: dict[str, list[float]] = {}
    for each in result.cpu:
        if "/" in each.target:
            found.setdefault(each.target, []).append(each.share)
    return {name: sum(shares) / len(shares) for name, shares in sorted(found.items())}


def _cpu_row(cluster: str, name: str, shares: Sequence[float | None]) -> Row:
    percents = [None if share is None else share * 100 for share in shares]
    first, *others = percents
    return Row(
        cluster, Figure(name, "%", 0), (Cell(first), *(_cell(each, first) for each in others))
    )


def _cell(value: float | None, base: float | None) -> Cell:
    if value is None or base is None:
        return Cell(value)
    return Cell(value, value - base, (value - base) / base if base else None)


def judged(figure: Figure, cell: Cell) -> int:
    """+1 better than the first run, -1 worse, 0 neither; under 2 % of difference is neither."""
    if not cell.absolute or not figure.better:
        return 0
    if cell.relative is not None and abs(cell.relative) < 0.02:
        return 0
    return figure.better if cell.absolute > 0 else -figure.better
