"""The cost of a request's own code: every variant runs, and does what its name says."""

from __future__ import annotations

from loadtest.builds import TITLES
from loadtest.cycle import CYCLES, WHOLE, Cycle, Shape, markdown, measure


def test_every_variant_is_measured() -> None:
    best = measure(runs=1)
    assert next(iter(best)) == "a request"
    assert all(cost_us > 0 for cost_us in best.values())
    lines = markdown(dict.fromkeys(TITLES, best)).splitlines()
    assert len(lines) == 2 + len(best)
    assert set(WHOLE) < set(best)


def test_requests_and_probes_run_to_their_end() -> None:
    cycle = Cycle(Shape("prequal", reports=True, log=True))
    cycle.requests()
    cycle.probes()
    plane = cycle.plane
    assert (plane.requests, plane.probing) == (CYCLES, set())
    assert plane.access is not None
    assert plane.access.lines == CYCLES
    assert len(plane.response_fields.known) == 1
    targets = plane.clusters["c"].targets.values()
    assert sum(target.pending for target in targets) == 0
    assert [len(target.idle) for target in targets] == [2] * len(targets)
    cycle.close()


def test_each_client_leaves_nothing_behind() -> None:
    cycle = Cycle(Shape())
    before = len(cycle.plane.clients)
    cycle.clients()
    cycle.attempts()
    assert len(cycle.plane.clients) == before
    assert cycle.plane.requests == CYCLES
    assert sum(target.pending for target in cycle.plane.clusters["c"].targets.values()) == 0
    cycle.close()
