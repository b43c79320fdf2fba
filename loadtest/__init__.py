"""The benchmark: k6 drives load, this package plans it, watches it and says what came of it.

In the order of the files:

- ``plan``      what to send where: scenarios and their k6 options, as frozen data
- ``generator`` the k6 process: found, started, stopped, never left running; its exit codes
- ``stream``    k6's sample stream (CSV on its standard output) -> samples, one per request
- ``measure``   samples -> percentiles, time series, distribution; pure
- ``cpu``       CPU of every target while the load runs, from wherever it can be had
- ``result``    what was measured, as frozen data, and its files
- ``verdict``   whether it counts: thresholds, a saturated generator, an interrupted run
- ``drive``     one run from preflight to result
- ``compare``   two or more runs side by side
- ``report``    results -> ``report.html`` and ``report.md``
- ``cli``       ``python -m loadtest``
- ``builds``    the same measurement of our code twice: interpreted and compiled
- ``page``      the parts of docs/ that a command writes
- ``cycle``     by itself: what a request, and each feature, costs the data plane's own code
- ``snapshot``  by itself: how a data-plane process takes in a picture of ten thousand targets
- ``news``      by itself: what it costs that balancers tell each other what they have pending
- ``telling``   the processes of balancers that ``news`` measures
- ``many``      by itself: what ten thousand targets cost beside ten

Without the command line::

    plan = loadtest.Plan(target="http://127.0.0.1:8000", scenario=loadtest.Scenario.THOUSAND)
    result = loadtest.run(plan, Path("results/one"), on_progress=print)
    loadtest.write_report([result], Path("results/one"))
"""

from __future__ import annotations

from loadtest.cpu import AdminCpu, CpuSource, ProcessCpu
from loadtest.drive import drive, run
from loadtest.generator import GeneratorMissing
from loadtest.plan import ClusterLoad, Plan, Scenario
from loadtest.preflight import TargetUnreachable
from loadtest.progress import Progress
from loadtest.report import write_report
from loadtest.result import Result, read_result
from loadtest.verdict import Outcome

__all__ = [
    "AdminCpu",
    "ClusterLoad",
    "CpuSource",
    "GeneratorMissing",
    "Outcome",
    "Plan",
    "ProcessCpu",
    "Progress",
    "Result",
    "Scenario",
    "TargetUnreachable",
    "drive",
    "read_result",
    "run",
    "write_report",
]
