from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from loadtest.compare import Cell, NotComparable, compare, judged
from loadtest.cpu import CpuReading
from loadtest.report.comparison import markdown_comparison, write_comparison
from loadtest.report.markdown import markdown_report
from loadtest.verdict import Outcome, Verdict
from tests.loadtest.made import PLAN, cluster, result, steady


def test_differences_are_against_the_first_run() -> None:
    slower = result(clusters=(cluster(scale=1.5),))
    found = compare([result(), slower, result()], ["a", "b", "a"])
    row = next(row for row in found.rows if row.figure.name == "p50")
    assert found.names == ("a", "b", "a (2)")
    assert row.cells[0] == Cell(50.5)
    assert row.cells[1].absolute == pytest.approx(25.25)
    assert row.cells[1].relative == pytest.approx(0.5)
    assert [judged(row.figure, cell) for cell in row.cells] == [0, -1, 0]


def test_another_target_is_the_same_experiment() -> None:
    other = result(plan=dataclasses.replace(PLAN, target="http://127.0.0.1:9999"))
    assert compare([result(), other], ["a", "b"]).warnings == ()


def test_different_experiments_are_refused_with_what_differs() -> None:
    other = result(plan=steady(50, concurrency=8))
    with pytest.raises(NotComparable) as caught:
        compare([result(), other], ["a", "b"])
    text = str(caught.value)
    assert "scenario: thousand in a, steady in b" in text
    assert "concurrency: 64 in a, 8 in b" in text
    forced = compare([result(), other], ["a", "b"], force=True)
    assert "concurrency: 64 in a, 8 in b" in forced.warnings


def test_one_run_is_no_comparison() -> None:
    with pytest.raises(NotComparable, match="two"):
        compare([result()], ["a"])


def test_a_run_that_is_not_a_result_is_marked() -> None:
    bad = result(verdict=Verdict(Outcome.SATURATED, ()))
    assert compare([result(), bad], ["a", "b"]).warnings == (
        "b: generator saturated: not a result",
    )


def test_what_is_missing_in_one_run_stays_empty(tmp_path: Path) -> None:
    empty = result(clusters=(cluster(latency=None, bins=()),))
    more = result(clusters=(cluster(), cluster("cluster2")))
    found = compare([empty, more], ["a<b", "b"])
    assert next(row for row in found.rows if row.figure.name == "p99").cells[1].relative is None
    page = write_comparison(found, tmp_path).read_text(encoding="utf-8")
    assert "a&lt;b" in page
    assert "a<b" not in page


def test_the_markdown_table_is_whole() -> None:
    text = markdown_comparison(compare([result(), result()], ["a", "b"]))
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {6}


def test_cpu_of_machines_is_compared_by_cluster_and_machine() -> None:
    first = result(
        cpu=(
            CpuReading(0, "cluster1/i-1", 0.2),
            CpuReading(60, "cluster1/i-1", 0.4),
            CpuReading(0, "cluster1/i-2", 0.1),
            CpuReading(0, "balancer/i-9", 0.5),
        )
    )
    other = result(cpu=(CpuReading(0, "cluster1/i-1", 0.6),))
    found = compare([first, other], ["a", "b"])
    rows = {(r.cluster, r.figure.name): [c.value for c in r.cells] for r in found.rows}
    assert rows["cluster1", "CPU i-1"] == pytest.approx([30, 60])
    assert rows["cluster1", "CPU, mean of machines"] == pytest.approx([20, 60])
    assert rows["cluster1", "CPU i-2"] == [pytest.approx(10), None]
    assert rows["balancer", "CPU i-9"] == [pytest.approx(50), None]
    assert "| cluster1 | CPU i-1 % | 30 | 60 | +100.0% (+30) |" in markdown_comparison(found)
    assert "| cluster1/i-1 | 30.0% |" in markdown_report([first], title="t", intro="")


def test_what_a_run_must_tell_is_told_wherever_it_is_compared() -> None:
    noted = result(plan=dataclasses.replace(PLAN, tags=(("note", "a stand-in"),)))
    assert compare([result(), noted], ["a", "b"]).warnings == ("b: a stand-in",)
