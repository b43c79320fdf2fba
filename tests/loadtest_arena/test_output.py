"""What is said of cells: ratios with intervals, ties, charts, the places in documents."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from loadtest.arena import Group, Ratio, Scenario
from loadtest.arena.compare import Cell, Figures
from loadtest.arena.output import NoPlace, between, chart, climb, write_docs, write_html, write_json
from loadtest.arena.summary import matrix_table, standings


def figures(p99_s: float) -> Figures:
    return Figures(p50_s=0.01, p99_s=p99_s, p999_s=p99_s * 2, mean_s=0.02, errors=0.0, requests=10)


def made(name: str, **p99s: tuple[float, ...]) -> Cell:
    scenario = Scenario(name=name, machines=(Group(count=1),), load=0.5, why="because")
    return Cell(scenario, (100, 101), {p: tuple(map(figures, s)) for p, s in p99s.items()})


ONE = made("one", oracle=(0.1, 0.1), steelyard=(0.11, 0.11), p2c=(0.2, 0.22), even=(0.10, 0.12))
TWO = made("two", oracle=(0.1, 0.2), steelyard=(0.12, 0.24), p2c=(0.2, 0.42), even=(0.2, 0.4))


def test_a_ratio_is_a_geometric_mean_with_students_interval() -> None:
    ratio = Ratio.of([1.0, 4.0])
    assert ratio.value == pytest.approx(2.0)
    assert ratio.high == pytest.approx(2.0 * 2**12.706)  # deviation log 4 / sqrt 2, over sqrt 2
    assert ratio.low * ratio.high == pytest.approx(4.0)
    alone = Ratio.of([3.0])
    assert alone.low == alone.value == alone.high == pytest.approx(3.0)


def test_who_stands_where() -> None:
    first, *_, last = standings([ONE, TWO])
    assert (first.policy, last.policy) == ("steelyard", "p2c")
    assert first.geometric_mean == pytest.approx((1.1 * 1.2) ** 0.5)
    assert first.worst == pytest.approx(1.2)
    assert first.worst_in == "two"
    assert first.unbeaten == 1.0
    assert last.unbeaten < 1.0


def test_the_best_of_a_row_and_its_ties_are_bold() -> None:
    lines = matrix_table([ONE, TWO]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[3:-1]] == ["**1.10**", "**1.10**", "2.10"]
    assert [cell.strip() for cell in lines[3].split("|")[3:-1]] == ["**1.20**", "2.00", "2.05"]


def test_charts_are_xml_and_name_everyone(tmp_path: Path) -> None:
    for text in (chart([ONE, TWO]), climb([ONE, TWO], ["p2c", "steelyard"])):
        words = "".join(Xml.fromstring(text).itertext())  # noqa: S314 - our own
        assert "steelyard" in words
        assert "p2c" in words
    write_html([ONE], tmp_path / "page.html")
    assert "even wins" in (tmp_path / "page.html").read_text()
    write_json([ONE], tmp_path / "figures.json")
    (cell,) = json.loads((tmp_path / "figures.json").read_text())
    assert cell["figures"]["p2c"][1]["p99_s"] == 0.22


def test_a_document_names_the_cells_that_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    document = tmp_path / "it.md"
    document.write_text("<!-- arena: matrix -->\nold\n<!-- /arena: matrix -->\n")
    write_docs([ONE, TWO], document, missing=["three"])
    text = document.read_text()
    assert "Not run, or not to the end: three." in text
    assert matrix_table([ONE, TWO]) in text
    write_docs([ONE, TWO], document)
    assert "Not run" not in document.read_text()


def test_those_who_tell_each_other_nothing_have_a_table_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    document = tmp_path / "it.md"
    places = (f"<!-- arena: {name} -->\n<!-- /arena: {name} -->\n" for name in ("matrix", "alone"))
    document.write_text("".join(places))
    write_docs([ONE, TWO], document, alone=[TWO])
    assert f"<!-- arena: alone -->\n\n{matrix_table([TWO])}" in document.read_text()


def test_the_order_of_a_legend_is_that_of_the_cells() -> None:
    words = "".join(Xml.fromstring(chart([ONE, TWO])).itertext())  # noqa: S314 - our own
    assert words.index("p2c") < words.index("steelyard")


def test_a_document_is_rewritten_between_its_markers() -> None:
    text = "a\n<!-- arena: x -->\nold\n<!-- /arena: x -->\nb"
    once = between(text, "x", r"new \1")
    assert once == "a\n<!-- arena: x -->\n\nnew \\1\n\n<!-- /arena: x -->\nb"
    assert between(once, "x", r"new \1") == once
    with pytest.raises(NoPlace, match="arena's y"):
        between(text, "y", "new")
