"""The arena: policies compared in simulated time, with the very objects that the balancer runs.

    events       what happens next
    request      a request and its attempts
    machine      what stands behind a target: processor sharing, slots and a queue, changing speed
    work         how much work a request is
    arrivals     when requests come
    happenings   what befalls machines: a neighbour, credits that run out, pauses, failures
    changes      machines that come and go: crash, scale-out, deploy
    scenario     all of it put together, as frozen data
    oracle       in the balancers' place, someone who knows
    news         what balancers tell each other
    arcs         which machines each of them uses
    fronts       the balancers: processes with a view each
    hedge        a second target for who waits too long at the first
    simulation   one run: scenario, policy, seed -> latencies
    cells        the matrix: scenarios by their coordinates
    files        scenario files
    compare      policies x seeds, ratios to the oracle with confidence intervals
    kept         runs done before, not to be done again
    table        that, to be read
    summary      all cells in one table
    plot, output charts, pages, the figures of the docs
    logged       a balancer's access log, read back
    rebuild      from it the machines behind it: cores, speeds, the work of each request
    replay       what would another policy have done with those requests?
    slowdown     beside all that: how soon a change of speed is known, `... loadtest.arena.slowdown`
    processes    and: what is lost by four processes, `... loadtest.arena.processes`
    limit        and: what hearing late costs alone, `python -m loadtest.arena.limit`
    hedging      and: whether a second try pays, `... loadtest.arena.hedging`
    picks        and: what a pick costs, `python -m loadtest.arena.picks`

From Python, for an experiment of one's own:

    from loadtest.arena import Antagonist, Group, Scenario, compare, simulate, tables

    scenario = Scenario(
        name="1:2, antagonist, 0.7",
        machines=(Group(count=4, cores=1), Group(count=4, cores=2)),
        load=0.7,                       # of the capacity that is there on average
        happenings=(Antagonist(count=2, factor=0.3, every_s=2.0),),
        balancers=1, processes=1,       # each process has a view (and a policy object) of its own
        requests=20_000, warmup_s=5.0,
    )
    print(tables(compare([scenario], ["least_time", "p2c", "prequal:pool=4"], seeds=range(10))))

    run = simulate(scenario, lambda: MyPolicy(alpha=0.5), seed=0)   # any object; None: the oracle
    run.percentile(0.99), run.mean_s, run.failed_share, run.per_machine

    simulation = Simulation(scenario, lambda: MyPolicy(), seed=0)   # to look inside
    simulation.events.at(12.0, lambda now, _: print(now, simulation.machines))
    simulation.front.views[0].cluster.eligible                      # a process's targets, loads
    simulation.run()

Tune on seeds 0-9; what is published is of seeds 100-109.
"""

from __future__ import annotations

from loadtest.arena.arrivals import Arrivals, Bursty, Diurnal, Poisson
from loadtest.arena.changes import Crash, Deploy, ScaleOut
from loadtest.arena.compare import ORACLE, Cell, Ratio, compare
from loadtest.arena.happenings import Antagonist, Credits, Failing, Happening, Pauses, Slowdown
from loadtest.arena.oracle import CentralQueue
from loadtest.arena.scenario import Group, Hedge, Scenario
from loadtest.arena.simulation import Run, Simulation, simulate
from loadtest.arena.table import tables
from loadtest.arena.work import Exponential, Fixed, LogNormal, Pareto, Work

__all__ = [
    "ORACLE",
    "Antagonist",
    "Arrivals",
    "Bursty",
    "Cell",
    "CentralQueue",
    "Crash",
    "Credits",
    "Deploy",
    "Diurnal",
    "Exponential",
    "Failing",
    "Fixed",
    "Group",
    "Happening",
    "Hedge",
    "LogNormal",
    "Pareto",
    "Pauses",
    "Poisson",
    "Ratio",
    "Run",
    "ScaleOut",
    "Scenario",
    "Simulation",
    "Slowdown",
    "Work",
    "compare",
    "simulate",
    "tables",
]
