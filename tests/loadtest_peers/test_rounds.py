"""Ratios are taken within a round; void runs count for nothing but are not forgotten."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.peers.generate import Generated, lua
from loadtest.peers.marks import Mark, marks
from loadtest.peers.measure import Run, fault
from loadtest.peers.processes import ProcessesRun
from loadtest.peers.processes import summarize as two_to_one
from loadtest.peers.report import (
    BEGIN,
    END,
    Report,
    faults,
    markdown,
    plot,
    rows,
    update_docs,
)
from loadtest.peers.rounds import summarize
from loadtest.peers.scenario import BROWSER_HEADERS, SMALL, Scenario
from loadtest.peers.thousand import Finish, Race, race

GOOD = Generated(1000, 1.0, 1000 * (SMALL.body_bytes + 150), {}, 1.0, 2.0, 3.0)


def run(proxy: str, round_: int, per_cpu_s: int, void: str | None = None) -> Run:
    return Run(proxy, "small", "wrk", round_, void, per_cpu_s, 2.0, 1.0, 0.5, 1.0, 2.0, 3.0)


RUNS = [
    run("steelyard", 0, 8_000),
    run("haproxy", 0, 10_000),
    run("steelyard", 1, 30_000),  # the machine was in a better mood, for both
    run("haproxy", 1, 50_000),
    run("steelyard", 2, 70),
    run("haproxy", 2, 100),
]
REPORT = Report(
    command="peers",
    machine={"cores": "2", "processor": "x", "memory": "4 GiB", "kernel": "6", "load": "0.0"},
    pinned="pinned",
    versions={"haproxy": "2.6"},
    seconds=2,
    rounds=3,
    runs=tuple(RUNS),
)


def test_the_ratio_is_the_median_of_the_rounds_own() -> None:
    ours, theirs = summarize(RUNS, "haproxy")
    assert ours.ratio == pytest.approx(0.7)  # of 0.8, 0.6, 0.7; not 8,000 / 10,000
    assert theirs.ratio == pytest.approx(1.0)
    assert ours.limited, "half a busy core: the generator set the throughput"


def test_a_void_run_has_no_part_in_the_figures() -> None:
    spoilt = [*RUNS[:4], run("steelyard", 2, 1_000_000, "answered 503"), RUNS[5]]
    ours = summarize(spoilt, "haproxy")[0]
    assert (ours.void, ours.per_cpu_s) == (("answered 503",), 19_000)
    assert faults(replace(REPORT, runs=tuple(spoilt))) == [
        "Steelyard, small, round 3 is void: answered 503"
    ]


def test_a_proxy_of_void_runs_alone_shows_the_reason() -> None:
    cells = rows(summarize([run("nginx", 0, 0, "answered 502")], "haproxy"))
    assert cells[0][:2] == ["nginx", "void: answered 502"]


@pytest.mark.parametrize(
    ("got", "reason"),
    [
        (GOOD, None),
        (replace(GOOD, failures={"status": 3, "read": 0}), "failures: 3 status"),
        (replace(GOOD, requests=0), "no answer at all"),
        (replace(GOOD, bytes=100), "1000 answers cannot be 100 bytes"),
        (replace(GOOD, bytes=10_000_000), "1000 answers cannot be 10000000 bytes"),
    ],
)
def test_what_voids_a_run(got: Generated, reason: str | None) -> None:
    assert fault(SMALL, got) == reason


def test_marks_say_kept_or_missed() -> None:
    half_load = [
        replace(run(proxy, turn, 1), p99_ms=p99_ms)
        for turn, times in enumerate([(3.0, 2.0), (8.0, 10.0), (1.2, 1.0)])
        for proxy, p99_ms in zip(("steelyard", "nginx"), times, strict=True)
    ]
    assert [str(mark) for mark in marks(RUNS, half_load, (), ())] == [
        "small GET, Steelyard, requests per CPU-second to HAProxy's: 0.70 (at least 1): MISSED",
        "half load, Steelyard, p99 to nginx's: 1.20 (at most 1.2): kept",  # of 1.5, 0.8, 1.2
    ]
    assert not Mark("time", 1.3, 1.2, at_least=False).kept


def test_a_race_is_judged_by_the_compiled_one_where_it_ran() -> None:
    ratios = {"steelyard": 1.3, "steelyard-compiled": 1.1}
    both, one = (Race("1000 requests", 64, {}, (), found) for found in (ratios, {"steelyard": 1.3}))
    assert [str(mark) for mark in marks((), (), (both, one), ())] == [
        "1000 requests, Steelyard, compiled, time against HAProxy: 1.10 (at most 1.2): kept",
        "1000 requests, Steelyard, time against HAProxy: 1.30 (at most 1.2): MISSED",
    ]


def test_docs_are_rewritten_between_the_markers_only(tmp_path: Path) -> None:
    file = tmp_path / "benchmarks.md"
    file.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    update_docs(REPORT, file)
    update_docs(REPORT, file)
    text = file.read_text()
    assert text.startswith("before\n")
    assert text.endswith(f"{END}\nafter\n")
    assert text.count(markdown(REPORT)) == 1
    assert "old" not in text
    assert plot(REPORT).count("<rect") == 2


def test_wrk_is_told_headers_connection_and_uniqueness() -> None:
    plain, every = lua(SMALL), Scenario("x", "x", headers=BROWSER_HEADERS, unique=True)
    assert "function request" not in plain
    assert "function request" in lua(every)
    assert lua(every).count("wrk.headers[") == len(BROWSER_HEADERS) + 1
    assert '"Connection"] = "close"' in lua(replace(SMALL, new_connection=True))


def test_a_race_pairs_rounds_and_keeps_unclean_ones_out() -> None:
    times = iter([9.0, 9.0, 2.0, 3.0, 5.0, 4.0])  # warm-up of both, then two rounds
    asked: list[int] = []

    def ask(port: int, _at_once: int) -> Finish:
        asked.append(port)
        return Finish(next(times), 1000, 1 if len(asked) == 4 else 0)

    got = race(64, {"steelyard": 1, "haproxy": 2}, 2, ask, lambda _name, _finish: None)
    assert asked == [1, 2, 2, 1, 1, 2], "the order turns every round"
    assert got.seconds == {"steelyard": [5.0], "haproxy": [2.0, 4.0]}
    assert got.ratios == {"steelyard": pytest.approx(5.0 / 4.0)}
    assert got.faults == ("steelyard, round 1: 1000 of 1000 requests made, 1 not answered 200",)


def test_two_processes_to_one_by_what_a_request_costs() -> None:
    def run(round_: int, processes: int, cpu_s: float, busiest_s: float) -> ProcessesRun:
        return ProcessesRun("steelyard", round_, processes, 1000, cpu_s, busiest_s)

    runs = [
        *(run(0, 1, 0.1, 0.09), run(0, 2, 0.125, 0.06)),
        *(run(1, 1, 0.2, 0.18), run(1, 2, 0.2, 0.12)),
        *(run(2, 1, 0.1, 0.1), run(2, 2, 0.1, 0.05)),
        *(run(3, 1, 0.1, 0.1), replace(run(3, 2, 9.0, 9.0), void="answered 503")),
    ]
    (two,) = two_to_one(runs)
    assert two.even == pytest.approx(2.0)  # of 1.6, 2.0, 2.0
    assert two.as_they_were == pytest.approx(1.5)  # of 1.5, 1.5, 2.0
    report = replace(REPORT, processes=tuple(runs))
    assert "a core each: 2.00 (at least 1.8): kept" in markdown(report)
    assert faults(report) == ["Steelyard, 2 processes, round 4 is void: answered 503"]
