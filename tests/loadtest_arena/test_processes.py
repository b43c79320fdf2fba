"""One balancer as several processes: little is lost as long as they see each other's requests."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import pytest

from loadtest.arena.fronts import View
from loadtest.arena.processes import cells, lost


def short() -> tuple[float, list[float]]:
    """(mean, by seed) of four processes' p99 over one's, where speeds are steady."""
    (scenario,) = cells("1:2 steady 0.9")
    ratios = lost(replace(scenario, requests=3000), "steelyard", 4, range(2))
    return prod(ratios) ** (1 / len(ratios)), ratios


def test_four_processes_lose_little() -> None:
    mean, by_seed = short()
    assert mean < 1.15
    assert by_seed[0] != by_seed[1]


def test_processes_that_do_not_see_each_other_lose_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the test above would catch."""
    nothing = property(lambda view: (), lambda view, rows: None)
    monkeypatch.setattr(View, "rows", nothing)
    assert short()[0] > 1.15
