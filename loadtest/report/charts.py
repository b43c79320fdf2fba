"""The charts of one run. Each takes the result and returns a figure, or words for an empty place.

A chart never vanishes: what was not measured, or did not happen, is said in its place.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import plotly.graph_objects as go

from loadtest.measure import cumulative_shares
from loadtest.report.palette import CLEAR, FAILED, GRID, NEUTRAL, SERIES, colour, dash
from loadtest.result import ClusterResult, Result

HEIGHT_PX: Final = 340
MOST_POINTS: Final = 1500  # of one line; more are not seen and make the page heavy
LONGEST_LIST: Final = 40  # targets shown one by one
PERCENTS: Final = (("p50", "p50_ms"), ("p90", "p90_ms"), ("p95", "p95_ms"), ("p99", "p99_ms"))
FILLS: Final = ("", "/", ".", "x", "-")  # patterns: colour is never the only difference
CAUSE_COLOURS: Final = (FAILED, *(each for each in SERIES if each != FAILED))


@dataclass(frozen=True, slots=True)
class Chart:
    """`figure` is None where there is nothing to draw; `words` then say why.

    `note` goes below the heading: how to read it.
    """

    title: str
    figure: Any | None
    words: str = ""
    note: str = ""
    wide: bool = False


def charts(result: Result) -> list[Chart]:
    """All charts of a run, in reading order."""
    makers: Sequence[Callable[[Result], Chart]] = (
        percentiles,
        distribution,
        latency_over_time,
        throughput,
        errors,
        requests_per_target,
        cpu_per_target,
    )
    return [make(result) for make in makers]


def _figure(*, x: str, y: str) -> Any:
    axis = {"gridcolor": GRID, "zerolinecolor": GRID, "linecolor": GRID, "automargin": True}
    figure = go.Figure()
    figure.update_layout(
        height=HEIGHT_PX,
        margin={"l": 10, "r": 16, "t": 12, "b": 10},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font={"family": "system-ui, sans-serif", "size": 13, "color": NEUTRAL},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0},
        hovermode="x unified",
        xaxis=axis | {"title": {"text": x}},
        yaxis=axis | {"title": {"text": y}, "rangemode": "tozero"},
    )
    return figure


def _log_axis(low: float, high: float) -> dict[str, Any]:
    """A logarithmic axis over `low`..`high` with round numbers on it: 1, 2, 5, 10, ..."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ones = [10.0**power for power in range(first, last + 1)]
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    ticks = [one * step for one in ones for step in steps if low <= one * step <= high]
    edges = (low / 1.15, high * 1.15)
    return {
        "type": "log",
        "rangemode": "normal",
        "range": [math.log10(edge) for edge in edges],
        "tickvals": ticks,
        "ticktext": [f"{tick:,g}" for tick in ticks],
    }


def _answered(result: Result) -> list[tuple[int, ClusterResult]]:
    return [(at, each) for at, each in enumerate(result.clusters) if each.latency is not None]


def percentiles(result: Result) -> Chart:
    title = "Latency percentiles"
    shown = _answered(result)
    if not shown:
        return Chart(title, None, "no answer with status 200")
    figure = _figure(x="percentile", y="latency (ms)")
    for at, cluster in shown:
        values = [getattr(cluster.latency, attribute) for _, attribute in PERCENTS]
        figure.add_bar(
            name=cluster.name,
            x=[name for name, _ in PERCENTS],
            y=values,
            text=[f"{value:.3g}" if value < 1000 else f"{value:,.0f}" for value in values],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour(at), "pattern": {"shape": FILLS[at % len(FILLS)]}},
            hovertemplate="%{y:.2f} ms",
        )
    figure.update_layout(barmode="group", bargap=0.3)
    return Chart(title, figure, note="Half of the answers came within p50, 99 of 100 within p99.")


def distribution(result: Result) -> Chart:
    title = "Latency distribution"
    shown = _answered(result)
    if not shown:
        return Chart(title, None, "no answer with status 200")
    figure = _figure(x="latency (ms, logarithmic)", y="answers that took no longer (%)")
    for at, cluster in shown:
        known = cluster.latency
        points = [(cluster.bins[0].from_ms, 0.0), *cumulative_shares(cluster.bins)]
        if known is not None:  # the last bin ends beyond the slowest answer
            points[-1] = (known.max_ms, 1.0)
        figure.add_scatter(
            name=cluster.name,
            x=[ms for ms, _ in points],
            y=[share * 100 for _, share in points],
            mode="lines",
            line={"color": colour(at), "dash": dash(at * len(SERIES)), "width": 2.5},
            hovertemplate="%{y:.1f} %",
        )
    edges = [edge for _, c in shown for edge in (c.bins[0].from_ms, c.bins[-1].to_ms)]
    figure.update_xaxes(hoverformat=".3g", **_log_axis(min(edges), max(edges)))
    figure.update_yaxes(range=[0, 101])
    return Chart(title, figure, note="The further left and the steeper, the better.")


def _time_axis(result: Result) -> str:
    together = "" if not result.plan.scenario.closed_loop else " of each cluster"
    return f"time since the first request{together} (s)"


def _thinned(values: Sequence[Any]) -> Sequence[Any]:
    return values[:: len(values) // MOST_POINTS + 1]


def latency_over_time(result: Result) -> Chart:
    title = "Latency over time"
    shown = _answered(result)
    if not shown:
        return Chart(title, None, "no answer with status 200", wide=True)
    figure = _figure(x=_time_axis(result), y="latency (ms, logarithmic)")
    for at, cluster in shown:
        slices = _thinned(cluster.slices)
        for name, attribute, style, width in (
            ("p50", "p50_ms", "solid", 2.5),
            ("p95", "p95_ms", "dash", 1.5),
            ("p99", "p99_ms", "dot", 1.5),
        ):
            figure.add_scatter(
                name=f"{cluster.name} {name}",
                x=[each.start_s for each in slices],
                y=[getattr(each, attribute) for each in slices],
                mode="lines",
                line={"color": colour(at), "dash": style, "width": width},
                hovertemplate="%{y:.2f} ms",
            )
    points = [
        ms
        for _, cluster in shown
        for each in cluster.slices
        for ms in (each.p50_ms, each.p99_ms)
        if ms
    ]
    figure.update_yaxes(**_log_axis(min(points), max(points)))
    return Chart(title, figure, note=_slices_words(result), wide=True)


def throughput(result: Result) -> Chart:
    title = "Throughput over time"
    if not any(each.slices for each in result.clusters):
        return Chart(title, None, "no request was made")
    figure = _figure(x=_time_axis(result), y="answers with status 200 per second")
    for at, cluster in enumerate(result.clusters):
        slices = _thinned(cluster.slices)
        figure.add_scatter(
            name=cluster.name,
            x=[each.start_s for each in slices],
            y=[(each.requests - each.failed) / each.width_s for each in slices],
            mode="lines",
            line={"color": colour(at), "width": 2.5, "dash": dash(at * len(SERIES))},
            hovertemplate="%{y:,.0f} per second",
        )
    return Chart(title, figure, note=_slices_words(result))


def _slices_words(result: Result) -> str:
    width_s = next((c.slices[0].width_s for c in result.clusters if c.slices), 0.0)
    return f"Each point is a slice of {width_s:.3g} s."


def errors(result: Result) -> Chart:
    title = "Errors"
    causes = sorted({cause for cluster in result.clusters for cause in cluster.failures})
    made = sum(cluster.requests for cluster in result.clusters)
    if not causes:
        words = f"none in {made:,} requests" if made else "no request was made"
        return Chart(title, None, words)
    figure = _figure(x="cluster", y="failed requests")
    for at, cause in enumerate(causes):
        figure.add_bar(
            name=cause,
            x=[cluster.name for cluster in result.clusters],
            y=[cluster.failures.get(cause, 0) for cluster in result.clusters],
            marker={
                "color": CAUSE_COLOURS[at % len(CAUSE_COLOURS)],
                "pattern": {"shape": FILLS[at % len(FILLS)]},
            },
            hovertemplate="%{y:,}",
        )
    figure.update_layout(barmode="stack", bargap=0.5, showlegend=True)
    return Chart(title, figure, note="By cause.")


def requests_per_target(result: Result) -> Chart:
    title = "Requests per target"
    everywhere = Counter(target for cluster in result.clusters for target in cluster.targets)
    rows = [
        (cluster, target if everywhere[target] == 1 else f"{target} ({cluster.name})", number)
        for cluster in result.clusters
        for target, number in sorted(cluster.targets.items())
    ]
    if not rows:
        return Chart(title, None, "the answers do not say which target gave them")
    shown = rows[:LONGEST_LIST]
    figure = _figure(x="answers with status 200", y="")
    for at, cluster in enumerate(result.clusters):
        mine = [(target, number) for owner, target, number in shown if owner is cluster]
        figure.add_bar(
            name=cluster.name,
            orientation="h",
            y=[target for target, _ in mine],
            x=[number for _, number in mine],
            text=[f"{number:,}" for _, number in mine],
            textposition="outside",
            cliponaxis=False,
            marker={"color": colour(at), "pattern": {"shape": FILLS[at % len(FILLS)]}},
            hovertemplate="%{x:,}",
        )
    figure.update_layout(
        barmode="overlay", bargap=0.25, hovermode="closest", height=max(HEIGHT_PX, 30 * len(shown))
    )
    figure.update_yaxes(autorange="reversed", type="category")
    left = f" The first {LONGEST_LIST} of {len(rows)}." if len(rows) > LONGEST_LIST else ""
    return Chart(title, figure, note=f"As the targets name themselves in their answers.{left}")


def cpu_per_target(result: Result) -> Chart:
    title = "CPU per target"
    if not result.cpu:
        words = "not measured: give --admin with the balancer's admin address"
        return Chart(title, None, words)
    figure = _figure(x="time since the start of the run (s)", y="CPU (%)")
    targets = sorted({reading.target for reading in result.cpu})
    for at, target in enumerate(targets[:LONGEST_LIST]):
        readings = _thinned([reading for reading in result.cpu if reading.target == target])
        figure.add_scatter(
            name=target,
            x=[reading.at_s for reading in readings],
            y=[reading.share * 100 for reading in readings],
            mode="lines" if len(readings) > 1 else "markers",
            line={"color": colour(at), "dash": dash(at), "width": 2},
            hovertemplate="%{y:.0f} %",
        )
    figure.update_layout(showlegend=True)
    return Chart(title, figure, note=_sentence(result.cpu_words))


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:]}."
