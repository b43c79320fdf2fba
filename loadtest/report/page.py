"""``report.html``: one file with the charting library inside; nothing is loaded from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from plotly.offline import get_plotlyjs

from loadtest.report.charts import Chart, charts
from loadtest.report.frame import html_table, page
from loadtest.report.words import HEADINGS, facts, load_words, mark, row
from loadtest.result import Result
from loadtest.verdict import Outcome

CLASSES: Final = {Outcome.PASSED: "passed", Outcome.INTERRUPTED: "interrupted"}
METRIC_WORDS: Final = {
    "checks": "answers with status 200",
    "http_req_failed": "failed requests",
    "http_req_duration": "latency (ms)",
}
READING: Final = (
    "Time runs from the first request to the last response of a cluster. Latency is of answers "
    "with status 200, from the first byte sent to the last received; connecting comes before it. "
    "Dropped: arrivals for which the generator had no free virtual user."
)


def html_report(results: Sequence[Result], *, title: str, intro: str) -> str:
    """The whole page as text."""
    parts = [f"<h1>{escape(title)}</h1>"]
    if intro:
        parts.append(f'<p class="soft">{escape(intro)}</p>')
    if len(results) > 1:
        parts.append(_overview(results))
    parts += [_run(result, number) for number, result in enumerate(results)]
    return page(title=title, body="\n".join(parts), script=get_plotlyjs())


def _overview(results: Sequence[Result]) -> str:
    rows = [
        (f"{mark(r.verdict.outcome)} {r.verdict.outcome.value}", r.plan.scenario.value, *row(c))
        for r in results
        for c in r.clusters
    ]
    return html_table(("verdict", "scenario", *HEADINGS), rows)


def _run(result: Result, number: int) -> str:
    outcome = result.verdict.outcome
    reasons = [*result.verdict.reasons, *result.notes]
    listed = "".join(f"<li>{escape(each)}</li>" for each in reasons)
    drawn = "".join(_chart(chart, f"run{number}-{at}") for at, chart in enumerate(charts(result)))
    known = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts(result)
    )
    return f"""<section class="run">
<h2>{escape(result.title)}</h2>
<p class="soft">{escape(load_words(result))}</p>
<p class="verdict {CLASSES.get(outcome, "failed")}">{mark(outcome)} {escape(outcome.value)}</p>
{f"<ul>{listed}</ul>" if listed else ""}
{html_table(HEADINGS, [row(cluster) for cluster in result.clusters])}
<p class="soft">{READING}</p>
<div class="charts">{drawn}</div>
{_thresholds(result)}
<h3>Where and how</h3>
<dl>{known}</dl>
</section>"""


def _thresholds(result: Result) -> str:
    if not result.thresholds:
        return ""
    rows = [
        (each.cluster, METRIC_WORDS.get(each.metric, each.metric), each.demand, _met(each.met))
        for each in result.thresholds
    ]
    return "<h3>Thresholds</h3>" + html_table(("cluster", "of", "demand", ""), rows, "left")


def _met(met: bool) -> str:
    return "✓ met" if met else "✗ not met"


def _chart(chart: Chart, name: str) -> str:
    if chart.figure is None:
        drawn = f'<div class="empty">{escape(chart.words)}</div>'
    else:
        drawn = chart.figure.to_html(
            full_html=False,
            include_plotlyjs=False,
            div_id=name,
            config={"displaylogo": False, "displayModeBar": False, "responsive": True},
        )
    note = f'<p class="soft">{escape(chart.note)}</p>' if chart.note else ""
    return (
        f'<figure class="{"wide" if chart.wide else ""}"><figcaption><h3>{escape(chart.title)}</h3>'
        f"{note}</figcaption>{drawn}</figure>"
    )
