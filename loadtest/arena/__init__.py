"""The arena: policies compared in simulated time, with the very objects that the balancer runs.

    events       what happens next
    request      a request and its attempts
    machine      what stands behind a target: processor sharing, slots and a queue, changing speed
    work         how much work a request is
    happenings   what befalls machines: a neighbour that moves
    scenario     all of it put together, as frozen data
    oracle       the choices of someone who knows
    fronts       who decides: balancers with their processes, or an oracle
    simulation   one run: scenario, policy, seed -> latencies
    compare      policies x seeds, ratios to the oracle with confidence intervals
    table        that, to be read

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

from loadtest.arena.compare import ORACLE, Cell, Ratio, compare
from loadtest.arena.happenings import Antagonist, Happening
from loadtest.arena.scenario import Group, Scenario
from loadtest.arena.simulation import Run, Simulation, simulate
from loadtest.arena.table import tables
from loadtest.arena.work import Exponential, Work

__all__ = [
    "ORACLE",
    "Antagonist",
    "Cell",
    "Exponential",
    "Group",
    "Happening",
    "Ratio",
    "Run",
    "Scenario",
    "Simulation",
    "Work",
    "compare",
    "simulate",
    "tables",
]
