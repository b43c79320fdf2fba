"""``python -m loadtest``: run, report, compare."""

from __future__ import annotations

import sys
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from loadtest import compare as comparing
from loadtest.cpu import AdminCpu
from loadtest.drive import run as run_plan
from loadtest.generator import GeneratorMissing
from loadtest.plan import (
    DEFAULT_CLUSTERS,
    DEFAULT_RATE,
    THOUSAND_REQUESTS,
    ClusterLoad,
    Plan,
    PlanError,
    Scenario,
)
from loadtest.preflight import TargetUnreachable
from loadtest.report import write_report
from loadtest.report.comparison import write_comparison
from loadtest.result import ResultUnreadable, read_result
from loadtest.terminal import print_comparison, print_result, shown

app = typer.Typer(
    help="Benchmark a load balancer with k6 and report what came of it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
RESULTS: Final = Path("results")


class Exit(int, Enum):
    """Exit codes besides those of a verdict (0 passed, 1 failed, 5 saturated, 6 k6 failed, 130)."""

    USAGE = 2
    UNREACHABLE = 3
    NO_GENERATOR = 4
    FILES = 7
    NOT_COMPARABLE = 8


def _end(error: Exception | str, code: Exit) -> typer.Exit:
    """One line (or one a problem) for the user; never a traceback."""
    Console(stderr=True).print(f"loadtest: {error}", style="red", markup=False, soft_wrap=True)
    return typer.Exit(code.value)


@app.command()
def run(
    *,
    target: Annotated[str, typer.Option(help="the balancer, such as http://127.0.0.1:8000")],
    scenario: Annotated[Scenario, typer.Option(help="shape of the load")] = Scenario.THOUSAND,
    rate: Annotated[
        float, typer.Option(help="requests a second for each cluster (not `thousand`)")
    ] = DEFAULT_RATE,
    duration: Annotated[
        float | None, typer.Option(help="seconds (not `thousand`) (default 30, soak 600)")
    ] = None,
    concurrency: Annotated[int, typer.Option(help="requests at once (`thousand`)")] = 64,
    requests: Annotated[
        int, typer.Option(help="requests for each cluster (`thousand`)")
    ] = THOUSAND_REQUESTS,
    vus: Annotated[
        int | None,
        typer.Option(help="most requests in flight for each cluster (not `thousand`)"),
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option(help="NAME or NAME=/path; repeat it (default cluster1 and cluster2)"),
    ] = None,
    path: Annotated[
        list[str] | None, typer.Option(help="path of each --cluster, in order (default /NAME)")
    ] = None,
    fresh_connections: Annotated[
        bool, typer.Option("--fresh-connections", help="a new connection for every request")
    ] = False,
    timeout: Annotated[float, typer.Option(help="seconds a request may take")] = 10.0,
    max_error_rate: Annotated[float, typer.Option(help="share of failures that passes")] = 0.0,
    max_p95: Annotated[float | None, typer.Option(help="ms; fail above it")] = None,
    max_p99: Annotated[float | None, typer.Option(help="ms; fail above it")] = None,
    admin: Annotated[
        str | None, typer.Option(help="the balancer's admin address, for CPU per target")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="folder (default results/<time>-<scenario>)")
    ] = None,
) -> None:
    """Load a target with k6, print the figures, write the report."""
    console = Console()
    try:
        plan = Plan(
            target=target,
            scenario=scenario,
            clusters=clusters_of(cluster or [], path or []),
            rate_per_s=rate,
            duration_s=duration,
            concurrency=concurrency,
            requests=requests,
            users=vus,
            fresh_connections=fresh_connections,
            timeout_s=timeout,
            error_limit=max_error_rate,
            p95_limit_ms=max_p95,
            p99_limit_ms=max_p99,
        )
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder = out or RESULTS / f"{stamp}-{scenario.value}"
        with shown(console) as on_progress:
            result = run_plan(
                plan,
                folder,
                on_progress=on_progress,
                cpu=AdminCpu(admin) if admin else None,
            )
        print_result(console, result)
        page = write_report([result], folder, title=f"Benchmark: {scenario.value}")
    except PlanError as error:
        raise _end(error, Exit.USAGE) from error
    except TargetUnreachable as error:
        raise _end(error, Exit.UNREACHABLE) from error
    except GeneratorMissing as error:
        raise _end(error, Exit.NO_GENERATOR) from error
    except OSError as error:
        raise _end(f"files cannot be written: {error}", Exit.FILES) from error
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(result.verdict.outcome.exit_code)


def clusters_of(names: list[str], paths: list[str]) -> tuple[ClusterLoad, ...]:
    """`["a", "b=/x"]`, `["/y"]` -> a on /y, b on /x. Raises PlanError."""
    if not names:
        if paths:
            raise PlanError("path: needs a --cluster for each")
        return DEFAULT_CLUSTERS
    if len(paths) > len(names):
        raise PlanError("path: more of them than clusters")
    loads = []
    for at, spec in enumerate(names):
        name, _, inline = spec.partition("=")
        given = paths[at] if at < len(paths) else ""
        loads.append(ClusterLoad(name, inline or given or f"/{name}"))
    return tuple(loads)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="folders of runs")],
    out: Annotated[Path | None, typer.Option(help="folder (default the first run's)")] = None,
    title: Annotated[str, typer.Option(help="heading of the page")] = "Benchmark",
) -> None:
    """Write report.html and report.md again, of one run or several."""
    try:
        page = write_report([read_result(each) for each in runs], out or runs[0], title=title)
    except (ResultUnreadable, OSError) as error:
        raise _end(error, Exit.FILES) from error
    Console().print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="folders of two or more runs")],
    out: Annotated[Path, typer.Option(help="folder for compare.html and compare.md")] = RESULTS
    / "compare",
    force: Annotated[
        bool, typer.Option("--force", help="also runs that were asked for different things")
    ] = False,
) -> None:
    """Runs side by side; differences are against the first."""
    console = Console()
    try:
        results = [read_result(each) for each in runs]
        comparison = comparing.compare(results, [each.name for each in runs], force=force)
        page = write_comparison(comparison, out)
    except comparing.NotComparable as error:
        raise _end(error, Exit.NOT_COMPARABLE) from error
    except (ResultUnreadable, OSError) as error:
        raise _end(error, Exit.FILES) from error
    print_comparison(console, comparison)
    console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Entry of `python -m loadtest`."""
    try:
        app(prog_name="loadtest")
    except KeyboardInterrupt:
        sys.exit(130)
