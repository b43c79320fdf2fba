from __future__ import annotations

import csv
from pathlib import Path

import pytest

from loadtest.result import ResultUnreadable, read_result, write_result
from tests.loadtest.made import cluster, result


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    whole = result(clusters=(cluster(), cluster("cluster2", latency=None, bins=())))
    write_result(whole, tmp_path)
    assert read_result(tmp_path) == whole
    assert read_result(tmp_path / "run.json") == whole


def test_every_cluster_has_its_files(tmp_path: Path) -> None:
    write_result(result(), tmp_path)
    assert {each.name for each in tmp_path.iterdir()} == {
        "run.json",
        "cluster1.json",
        "cluster1.csv",
        "cpu.csv",
    }
    rows = list(csv.DictReader((tmp_path / "cluster1.csv").read_text("utf-8").splitlines()))
    assert sum(int(row["requests"]) for row in rows) == 100
    assert float(rows[1]["start_s"]) == pytest.approx(0.2)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 99}', '{"format": 1}'])
def test_a_folder_without_a_run_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(ResultUnreadable):
        read_result(tmp_path)
    with pytest.raises(ResultUnreadable, match="cannot be read"):
        read_result(tmp_path / "nowhere")
