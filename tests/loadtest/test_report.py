from __future__ import annotations

import re
from pathlib import Path

import pytest

from loadtest import write_report
from loadtest.report.charts import charts
from loadtest.report.words import milliseconds, percent
from loadtest.result import Result
from loadtest.verdict import Outcome, Verdict
from tests.loadtest.made import cluster, result

EMPTY = result(
    clusters=(cluster(requests=0, latency=None, bins=(), slices=(), targets={}, statuses={}),),
    cpu=(),
    verdict=Verdict(Outcome.FAILED, ("cluster1: no request was made",)),
)


def test_the_page_loads_nothing_from_anywhere(tmp_path: Path) -> None:
    page = write_report([result(), EMPTY], tmp_path, title="A <b> title").read_text("utf-8")
    assert "A &lt;b&gt; title" in page
    assert not re.search(r'<(script|link|img|iframe)[^>]*(src|href)="?http', page)
    assert page.count('class="run"') == 2
    assert len(page) < 6_000_000


@pytest.mark.parametrize("whole", [result(), EMPTY])
def test_no_chart_vanishes(whole: Result) -> None:
    assert [chart.title for chart in charts(whole)] == [
        "Latency percentiles",
        "Latency distribution",
        "Latency over time",
        "Throughput over time",
        "Errors",
        "Requests per target",
        "CPU per target",
    ]
    for chart in charts(whole):
        assert chart.figure is not None or chart.words


def test_every_axis_says_its_unit() -> None:
    for chart in charts(result(clusters=(cluster(failed=1, failures={"timeout": 1}),))):
        assert chart.figure is not None
        layout = chart.figure.layout
        assert layout.xaxis.title.text
        assert layout.yaxis.title.text or chart.title == "Requests per target"


def test_what_was_not_measured_says_so() -> None:
    assert charts(EMPTY)[-1].words.startswith("not measured")


def test_targets_of_the_same_name_in_two_clusters_stay_apart() -> None:
    both = result(clusters=(cluster(targets={"t": 1}), cluster("cluster2", targets={"t": 2})))
    bars = charts(both)[5].figure.data  # type: ignore[union-attr] # drawn, as the next line shows
    assert [list(each.y) for each in bars] == [["t (cluster1)"], ["t (cluster2)"]]


def test_the_markdown_says_the_verdict_and_why(tmp_path: Path) -> None:
    write_report([EMPTY], tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**✗ failed**" in text
    assert "no request was made" in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.5, "0.50"), (12.345, "12.3"), (1234.5, "1,234")],  # noqa: RUF001 - the dash of an empty cell
)
def test_milliseconds_have_three_digits(value: float | None, text: str) -> None:
    assert milliseconds(value) == text


@pytest.mark.parametrize(("share", "text"), [(0, "0 %"), (0.00012, "0.012 %"), (0.5, "50.0 %")])
def test_a_small_share_is_not_shown_as_none(share: float, text: str) -> None:
    assert percent(share) == text
