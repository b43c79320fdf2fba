"""The program as a user meets it: a process with an exit code and words."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from loadtest.cli import clusters_of
from loadtest.plan import ClusterLoad, PlanError
from loadtest.result import read_result, write_result
from loadtest.verdict import Outcome
from tests.loadtest.made import cluster, result, steady
from tests.loadtest.stub import Stub, serving

Process = asyncio.subprocess.Process


@asynccontextmanager
async def loadtest(*words: str, **env: str) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "loadtest",
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=os.environ | {"COLUMNS": "200"} | env,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def told(*words: str) -> tuple[int, str]:
    """Exit code and everything that was printed."""
    async with loadtest(*words) as process:
        out, _ = await asyncio.wait_for(process.communicate(), timeout=60)
    text = out.decode()
    assert "Traceback" not in text
    assert process.returncode is not None
    return process.returncode, text


async def test_a_run_prints_its_figures_and_writes_its_report(tmp_path: Path) -> None:
    async with serving(Stub()) as stub:
        code, text = await told(
            *("run", "--target", stub.url, "--requests", "100", "--cluster", "one"),
            *("--path", "/x", "--out", str(tmp_path)),
        )
    assert code == 0, text
    assert "✓ passed" in text
    assert read_result(tmp_path).clusters[0].url == f"{stub.url}/x"
    assert (tmp_path / "report.html").stat().st_size > 1_000_000
    assert "| one | 100 |" in (tmp_path / "report.md").read_text(encoding="utf-8")


async def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    async with serving(Stub()) as stub:
        pass
    code, text = await told("run", "--target", stub.url, "--out", str(tmp_path / "none"))
    assert code == 3
    assert len(text.strip().splitlines()) == 1
    assert "cannot be reached" in text


async def test_a_plan_that_cannot_be_is_told(tmp_path: Path) -> None:
    code, text = await told("run", "--target", "localhost", "--concurrency", "0")
    assert code == 2
    assert "target" in text
    assert "concurrency" in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_k6_and_keeps_what_was_measured(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with (
        serving(Stub()) as stub,
        loadtest(
            *("run", "--target", stub.url, "--scenario", "steady", "--rate", "50"),
            *("--duration", "60", "--out", str(tmp_path)),
        ) as process,
    ):
        await stub.wait_seen(20)
        generators = psutil.Process(process.pid).children()
        process.send_signal(number)
        out, _ = await asyncio.wait_for(process.communicate(), timeout=30)
    assert process.returncode == 130, out.decode()
    assert "Traceback" not in out.decode()
    assert [each.name() for each in generators if each.is_running()] == []
    found = read_result(tmp_path)
    assert found.verdict.outcome is Outcome.INTERRUPTED
    assert found.clusters[0].requests > 0
    assert (tmp_path / "report.html").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing binds k6's life to ours")
async def test_k6_does_not_outlive_a_killed_wrapper(tmp_path: Path) -> None:
    async with (
        serving(Stub()) as stub,
        loadtest(
            *("run", "--target", stub.url, "--scenario", "steady", "--rate", "50"),
            *("--duration", "60", "--out", str(tmp_path)),
        ) as process,
    ):
        await stub.wait_seen(20)
        generators = psutil.Process(process.pid).children()
        assert generators
        for each in generators:
            each.suspend()  # so that it cannot end by itself over its broken output
        process.kill()
        _, alive = await asyncio.to_thread(psutil.wait_procs, generators, timeout=10)
        for each in alive:
            each.kill()
    assert alive == []


async def test_compare_and_report_work_on_folders(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    write_result(result(), one)
    write_result(result(clusters=(cluster(scale=2),)), two)
    write_result(result(plan=steady()), other)

    code, text = await told("compare", str(one), str(two), "--out", str(tmp_path / "both"))
    assert code == 0
    assert "+100.0%" in text
    assert (tmp_path / "both" / "compare.md").exists()
    assert (tmp_path / "both" / "compare.html").exists()

    code, text = await told("compare", str(one), str(other))
    assert code == 8
    assert "scenario: thousand in one, steady in other" in text

    code, text = await told("report", str(one))
    assert code == 0
    assert (one / "report.html").exists()

    code, text = await told("report", str(tmp_path / "nowhere"))
    assert code == 7
    assert len(text.strip().splitlines()) == 1


def test_clusters_and_paths_are_matched_in_order() -> None:
    assert clusters_of(["a", "b=/x", "c"], ["/y"]) == (
        ClusterLoad("a", "/y"),
        ClusterLoad("b", "/x"),
        ClusterLoad("c", "/c"),
    )
    with pytest.raises(PlanError):
        clusters_of([], ["/y"])
    with pytest.raises(PlanError):
        clusters_of(["a"], ["/y", "/z"])
