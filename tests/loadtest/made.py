"""Made-up runs for tests that need a result and no k6."""

from __future__ import annotations

import dataclasses
from typing import Any

from loadtest import measure
from loadtest.cpu import CpuReading
from loadtest.plan import ClusterLoad, Plan, Scenario
from loadtest.result import ClusterResult, Host, Result
from loadtest.stream import Samples
from loadtest.verdict import Outcome, Threshold, Verdict

TARGET = "http://127.0.0.1:8000"
PLAN = Plan(target=TARGET, clusters=(ClusterLoad("cluster1", "/cluster1"),))


def samples(*latencies_ms: float, status: int = 200, gap_s: float = 0.1) -> Samples:
    """Requests that end `gap_s` after each other, the first one beginning at 1000 s."""
    made = Samples()
    for at, value in enumerate(latencies_ms):
        ended_s = 1000 + at * gap_s + latencies_ms[0] / 1e3
        made.ended_s.append(ended_s)
        made.latency_ms.append(value)
        made.status.append(status)
        made.error_code.append(0 if status else 1212)
        made.turn_began_s = min(made.turn_began_s, ended_s - value / 1e3)
    return made


def cluster(name: str = "cluster1", scale: float = 1.0, **changes: Any) -> ClusterResult:
    made = samples(*(scale * value for value in range(1, 101)))
    answered = measure.answered_ms(made)
    whole = ClusterResult(
        name=name,
        url=f"{TARGET}/{name}",
        requests=100,
        failed=0,
        dropped=0,
        duration_s=measure.duration_s(made),
        rate_per_s=100 / measure.duration_s(made),
        latency=measure.latency(answered),
        statuses={"200": 100},
        failures={},
        targets={f"{name}-1": 60, f"{name}-2": 40},
        slices=measure.slices(made, 0.2),
        bins=measure.distribution(answered),
    )
    return dataclasses.replace(whole, **changes)


def result(**changes: Any) -> Result:
    whole = Result(
        plan=PLAN,
        began_at="2026-01-01T00:00:00+00:00",
        wall_s=1.5,
        host=Host(
            cpus=2, system="Linux x86_64", generator="k6 v1", generator_cpu_s=0.4, busy_share=0.8
        ),
        clusters=(cluster(),),
        thresholds=(Threshold("cluster1", "checks", "rate>=1", True),),
        verdict=Verdict(Outcome.PASSED, ()),
        exit_codes=(0,),
        notes=(),
        cpu=(CpuReading(0.0, "cluster1-1", 0.25), CpuReading(1.0, "cluster1-1", 0.5)),
        cpu_words="as reported",
    )
    return dataclasses.replace(whole, **changes)


def steady(rate_per_s: float = 100, **changes: Any) -> Plan:
    return dataclasses.replace(PLAN, scenario=Scenario.STEADY, rate_per_s=rate_per_s, **changes)
