"""`steelyard bench`: load on the deployment's fronts, and what it did to its machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from orchestrator.aws.errors import CloudError
from orchestrator.clouds import is_local
from orchestrator.deploy.commands.terminal import (
    FILE,
    File,
    console,
    one_line_errors,
    open_door,
    report,
)
from orchestrator.deploy.fronts import fronts_of
from orchestrator.deploy.load import load
from orchestrator.deploy.plan import find_all
from orchestrator.deploy.resource import Scope

app = typer.Typer()
_RESULTS: Final = Path("results")
_DURATION_S: Final = 180.0  # two whole minutes of CloudWatch at least
_LOCAL_DURATION_S: Final = 30.0


@app.command()
def bench(
    *,
    file: File = FILE,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help="thousand, steady, ramp, spike or soak; repeat it. Default: steady."),
    ] = None,
    rate: Annotated[float, typer.Option(help="Requests a second for each cluster.")] = 50.0,
    duration: Annotated[
        float | None, typer.Option(help="Seconds. Default: 180, on the local cloud 30.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder.", file_okay=False)] = None,
) -> None:
    """The same load on every front; CPU of every machine from CloudWatch; one report."""
    # Drawing libraries take a second to load, which no other command should pay for.
    from loadtest import ClusterLoad, Plan, Scenario  # noqa: PLC0415 - see above
    from loadtest import run as run_plan  # noqa: PLC0415 - see above
    from loadtest.compare import by_machine  # noqa: PLC0415 - see above
    from loadtest.terminal import print_comparison, print_result, shown  # noqa: PLC0415 - see above
    from orchestrator.deploy import bench as work  # noqa: PLC0415 - see above

    with one_line_errors(), _loadtest_errors():
        deployment, local = load(file), is_local()
        known = [one.value for one in Scenario]
        asked = list(dict.fromkeys(scenario or [Scenario.STEADY.value]))
        if unknown := [name for name in asked if name not in known]:
            raise CloudError(
                f"--scenario {unknown[0]}", "there is no such scenario", ", ".join(known)
            )
        aws, scope = open_door(deployment.region), Scope(deployment.name)
        fronts = fronts_of(find_all(aws, scope))
        work.need_fronts(fronts, deployment.name)
        stamp = datetime.now().astimezone().strftime("%Y%m%d-%H%M%S")
        folder = out or _RESULTS / f"{stamp}-{deployment.name}"
        taken = []
        for name in asked:
            plan = Plan(
                target=fronts[0].url,
                scenario=Scenario(name),
                clusters=tuple(
                    ClusterLoad(one.name, f"/{one.name}") for one in deployment.clusters
                ),
                rate_per_s=rate,
                duration_s=duration or (_LOCAL_DURATION_S if local else _DURATION_S),
            )
            report(f"{name}: {', '.join(f'{each.called(local)} at {each.url}' for each in fronts)}")
            with shown(console()) as on_progress:
                taken += work.take(
                    aws,
                    scope,
                    fronts,
                    work.plans_for(plan, fronts, local),
                    out=folder,
                    run=lambda one, where: run_plan(one, where, on_progress=on_progress),
                )
            if taken[-1].result.verdict.outcome.exit_code == 130:
                break
        metering = work.LOCAL_METERING if local else work.AWS_METERING
        taken = work.with_cpu(aws, taken, metering, report)
        for written in work.reports(taken, folder, local=local):
            if written.comparison is not None:
                print_comparison(console(), written.comparison)
            else:
                print_result(console(), written.results[0])
                for machine, share in by_machine(written.results[0]).items():
                    report(f"CPU {machine}: {share:.1%}")
                if local:
                    report(work.PLAYED)
            report(f"report: {written.page}")
    raise typer.Exit(max(one.result.verdict.outcome.exit_code for one in taken))


@contextmanager
def _loadtest_errors() -> Iterator[None]:
    """What stands in the way of a load, told as every other error is."""
    from loadtest import GeneratorMissing, TargetUnreachable  # noqa: PLC0415 - as in `bench`
    from loadtest.plan import PlanError  # noqa: PLC0415 - as in `bench`

    try:
        yield
    except PlanError as error:
        raise CloudError("bench", str(error), "see steelyard bench --help") from error
    except TargetUnreachable as error:
        raise CloudError("bench", str(error), "steelyard status shows what is healthy") from error
    except GeneratorMissing as error:
        raise CloudError("bench", str(error), "make setup installs k6") from error
    except OSError as error:
        raise CloudError("bench", f"files cannot be written: {error}", "--out FOLDER") from error
