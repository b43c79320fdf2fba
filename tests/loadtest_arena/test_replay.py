"""A log tells what stood behind it, and what another policy would have made of it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from loadtest.arena import Antagonist, Group, Scenario, Simulation, simulate
from loadtest.arena.__main__ import main
from loadtest.arena.compare import spec_of
from loadtest.arena.logged import BadLog, read_log
from loadtest.arena.rebuild import WIDE, rebuild, stretches
from loadtest.arena.replay import AS_LOGGED, ask, text
from loadtest.arena.request import Attempt
from services.balancer.dataplane.access_log import Line, micro
from services.balancer.pick import build

SCENARIO = Scenario(
    name="to be logged",
    machines=(Group(count=2), Group(count=2, cores=2), Group(count=1, cores=4)),
    load=0.8,
    requests=4_000,
    warmup_s=0.0,
    happenings=(Antagonist(count=1, factor=0.3, every_s=4.0),),
)


class Logged(Simulation):
    """A simulation that writes the balancer's access log."""

    def __init__(self, scenario: Scenario, policy: str, seed: int) -> None:
        super().__init__(scenario, lambda: build(spec_of(policy)), seed)
        self.lines: list[bytes] = []

    def _answered(self, now: float, attempt: Attempt) -> None:
        if not attempt.gone:
            arrived = attempt.request.arrived
            target = f"10.0.0.{attempt.machine.index}:80"
            self.lines.append(line(arrival=1e9 + arrived, target=target, total_s=now - arrived))
        super()._answered(now, attempt)


def line(
    *,
    arrival: float = 1e9,
    cluster: str = "cluster1",
    target: str | None = "10.0.0.1:80",
    attempts: int = 1,
    total_s: float = 0.02,
    status: int = 200,
    ended: str = "answered",
) -> bytes:
    """As the data plane writes it."""
    written = Line(
        arrival=micro(arrival),
        request_id="abc-1",
        method="GET",
        path="/cluster1",
        cluster=cluster,
        target=target,
        attempts=attempts,
        pending=0,
        connect_s=0.0,
        first_byte_s=micro(total_s),
        total_s=micro(total_s),
        status=status,
        ended=ended,
    )
    return msgspec.json.encode(written) + b"\n"


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    simulation = Logged(SCENARIO, "least_pending", seed=1)
    simulation.run()
    path = tmp_path_factory.mktemp("logs") / "access.log"
    path.write_bytes(b"".join(simulation.lines))  # in the order of the answers, as it is written
    return path


def test_the_machines_are_found(log: Path) -> None:
    machines = rebuild(read_log(log)).machines
    *few, many = [machine.cores for machine in machines]
    assert few == [1, 1, 2, 2]
    assert many in {3, 4, 6}, "rarely full, so that more cores would hardly look different"
    usual = [max(speed for _, speed in machine.speeds) for machine in machines]
    assert usual == pytest.approx([1.0] * 5, rel=0.3)
    slowest = [min(speed for _, speed in machine.speeds) for machine in machines]
    slowed = {change for change in range(5) if slowest[change] < 0.5}
    rng = Random("1 antagonist")  # as a simulation's `chance` makes it
    moves = int((read_log(log).lasts_s - 1.0) / 4.0) + 1  # the last may come too late to be seen
    assert slowed == {rng.sample(range(5), 1)[0] for _ in range(moves)}


def test_another_policy_is_foretold(log: Path) -> None:
    answer = ask(read_log(log), ["steelyard", "p2c"], [0, 1], "least_pending")
    assert answer.error(AS_LOGGED, lambda f: f.p99_s) == pytest.approx(0.0, abs=1e-3)
    assert answer.error(AS_LOGGED, lambda f: f.mean_s) == pytest.approx(0.0, abs=1e-3)
    assert abs(answer.error("least_pending", lambda f: f.p99_s)) < 0.15
    for policy in ("steelyard", "p2c"):
        spec = spec_of(policy)
        truth = simulate(SCENARIO, partial(build, spec), seed=1)
        foretold_s = answer.mean(policy, lambda f: f.p99_s)
        assert foretold_s == pytest.approx(truth.percentile(0.99), rel=0.25), policy
    assert answer.measured.requests == SCENARIO.requests
    assert "If least_pending was in use, the simulation is off by" in text(answer)


def test_targets_that_only_wait_share_nothing(tmp_path: Path) -> None:
    rng = Random(1)
    at_s, lines = 1e9, []
    for _ in range(2_000):
        at_s += rng.expovariate(400.0)
        lines.append(line(arrival=at_s, total_s=rng.expovariate(50.0)))  # whoever else is there
    path = tmp_path / "access.log"
    path.write_bytes(b"".join(lines))
    (machine,) = rebuild(read_log(path)).machines
    assert machine.cores >= 16
    assert machine.cores <= WIDE


@given(st.integers(20, 180), st.sampled_from([0.3, 3.0]))
def test_a_change_of_rate_is_found_where_it_is(at: int, factor: float) -> None:
    rng = Random(at)
    rates = [20.0 if place < at else 20.0 * factor for place in range(200)]
    done = [max(0.0, round(rng.gauss(rate, rate**0.5))) for rate in rates]  # nearly Poisson
    found = stretches(done, [1.0] * 200, cost=2 * 5.3)
    assert found[0][0] == 0
    assert found[-1][1] == 200
    assert any(abs(start - at) <= 2 for start, _ in found[1:])
    assert len(found) <= 4


def test_what_cannot_be_used_is_counted_and_broken_lines_are_named(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    good = [line(arrival=1e9 + at) for at in range(20)]
    path.write_bytes(
        b"".join(good)
        + line(target=None, status=503, ended="own")
        + line(ended="left", arrival=1e9 + 30)
        + line(attempts=2, arrival=1e9 + 31)
        + line(status=502, arrival=1e9 + 32)
        + line(cluster="cluster2")
        + b'{"arrival": "noon"}\n'
        + line()[:60]
    )
    log = read_log(path)
    assert len(log.served) == 23
    assert log.cluster == "cluster1"
    said = "\n".join(log.notes)
    for what in (
        "1 answered by the balancer itself, left out",
        "1 given up or cut off, replayed with the work that was done",
        "1 tried more than once, replayed as if the last target had all of it",
        "1 answered 5xx, replayed as the short requests that they were",
        "1 of other clusters than cluster1, left out",
        "2 broken, left out",
        "line 26: Expected `float`, got `str` - at `$.arrival`",
        "line 27: ",
    ):
        assert what in said
    assert read_log(path, "cluster2").targets == ("10.0.0.1:80",)
    with pytest.raises(BadLog, match="no cluster 'cluster3'; there is cluster1, cluster2"):
        read_log(path, "cluster3")


@given(st.lists(st.one_of(st.binary(max_size=40), st.builds(line)), max_size=5))
def test_any_file_is_a_log_or_a_bad_one(tmp_path_factory: Any, pieces: list[bytes]) -> None:
    path = tmp_path_factory.mktemp("any") / "access.log"
    path.write_bytes(b"\n".join(pieces))
    if any(piece == line() for piece in pieces):
        assert rebuild(read_log(path)).works_s
    else:
        with pytest.raises(BadLog, match="no line of a request"):
            read_log(path)


def test_from_the_command_line(log: Path, tmp_path: Path) -> None:
    app = typer.Typer()
    app.command()(main)
    out = tmp_path / "answer.json"
    asked = ["--policies", "p2c", "--seeds", "1", "--in-use", "least_pending"]
    done = CliRunner().invoke(app, ["--replay", str(log), *asked, "--json", str(out)])
    assert done.exit_code == 0
    assert "| 10.0.0.3:80 |     2 |" in done.stdout
    assert set(json.loads(out.read_text())["figures"]) == {
        *(AS_LOGGED, "oracle", "least_pending", "p2c")
    }
    for wrong, words in (
        (["--replay", str(tmp_path / "none")], "No such file"),
        (["--replay", str(log), "--in-use", "p3c"], "unknown policy 'p3c'"),
        (["--replay", str(log), "--only", "x"], "--replay goes with"),
    ):
        refused = CliRunner().invoke(app, wrong)
        assert refused.exit_code == 2
        assert words in " ".join(refused.output.split())
