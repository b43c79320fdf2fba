"""News between balancers: a measurement in small, and what is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtest.news import Cost, markdown, measure
from loadtest.page import rewrite


def test_two_processes_tell_each_other_and_are_measured() -> None:
    cost = measure(1, 8, rate=200, seconds=0.5, warm_s=0.1)
    assert (cost.peers, cost.targets) == (1, 8)
    assert 0.0 < cost.cpu < 1.0
    assert 0.0 < cost.age_p50_ms <= cost.age_p99_ms < 2_000
    assert cost.sent_per_s > 0.0
    assert cost.taken_per_s > 0.0


def test_the_table_and_where_it_goes(tmp_path: Path) -> None:
    text = markdown([Cost(3, 1000, 0.031, 12.34, 10.0, 24.96, 240.4, 259.6)], 1_000)
    assert "| 3 | 1,000 | 3.1 % | 12.3 | 10.0 | 25.0 | 240 | 260 |" in text
    file = tmp_path / "page.md"
    begin = "<!-- news: begin; written by `x`, edits are lost -->"
    file.write_text(f"a\n{begin}\nold\n<!-- news: end -->\nb")
    rewrite(file, "news", "x", text)
    assert "old" not in file.read_text()
    file.write_text("lost")
    with pytest.raises(ValueError, match="markers"):
        rewrite(file, "news", "x", text)
