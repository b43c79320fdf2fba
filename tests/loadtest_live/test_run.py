"""A small run with real processes: workers, our balancer, nginx; nothing is left of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import cast

import psutil
import pytest

from loadtest.arena import Antagonist, Fixed, Group, Scenario
from loadtest.live import rounds
from loadtest.live.contenders import contender, simulated
from loadtest.live.fleet import Fleet, fleet
from loadtest.live.rounds import Standing, Turn, field, play
from loadtest.peers.contenders import Layout
from loadtest.peers.process import Running, find_program
from tests.loadtest_live.test_judge import turn as made

SCENARIO = Scenario(
    name="tiny",
    machines=(Group(count=1), Group(count=1, cores=2)),
    load=0.6,
    work=Fixed(0.03),
    requests=40,
    warmup_s=0.3,
    happenings=(Antagonist(count=1, factor=0.3, every_s=1.0),),
)


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")
def test_the_same_requests_through_us_and_through_nginx() -> None:
    proxies = [contender("steelyard"), contender("nginx")]
    programs = {proxy.name: find_program(proxy) or "" for proxy in proxies}
    rng = Random()
    with (
        fleet(SCENARIO, rng) as workers,
        field(proxies, programs, workers, rng) as standing,
    ):
        started = [
            *(child for process in workers.processes for child in process.tree()),
            *(child for each in standing for child in each.process.tree()),
        ]
        turns = list(play(SCENARIO, standing, workers, seeds=[1]))
    assert not psutil.wait_procs(started, timeout=5)[1]
    assert [turn.contender for turn in turns] == ["steelyard", "nginx"]
    for turn in turns:
        assert turn.requests == 40
        assert not turn.failures
        assert turn.p50_s > 0.029, "30 ms of work take as long on a modelled machine"
        assert turn.proxy_cpu_s > 0.0
        assert 0.0 < turn.busy < 1.001  # a quotient of two clocks


@pytest.mark.parametrize(
    ("name", "policy", "file", "words"),
    [
        ("nginx", "least_pending", "nginx.conf", "least_conn;"),
        ("haproxy", "least_pending", "haproxy.cfg", "balance leastconn"),
        ("envoy", "p2c", "envoy.json", '"lb_policy": "LEAST_REQUEST"'),
        ("p2c", "p2c", "balancer.yaml", '"policy": "p2c"'),
    ],
)
def test_contenders_at_their_best(
    tmp_path: Path, name: str, policy: str, file: str, words: str
) -> None:
    layout = Layout(1000, 1001, (1002,), tmp_path)
    assert words in contender(name).launch("program", layout).files[file]
    assert simulated(name) == policy


def test_a_policy_with_its_parameters(tmp_path: Path) -> None:
    layout = Layout(1000, 1001, (1002,), tmp_path)
    text = contender("prequal:q_rif=0.9").launch("program", layout).files["balancer.yaml"]
    assert json.loads(text)["clusters"][0]["policy"] == {"name": "prequal", "q_rif": 0.9}
    with pytest.raises(ValueError, match="nobody"):
        contender("nobody")


def test_a_disturbed_turn_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each that is allowed; the last try counts, whatever it was."""
    proxies = [contender("steelyard"), contender("nginx")]
    standing = [Standing(proxy, 0, cast("Running", None)) for proxy in proxies]
    late_s = iter((0.001, 0.1, 0.1, 0.1, 0.001, 0.1))

    def took(_scenario: Scenario, _plan: object, who: Standing, _fleet: object, at: int) -> Turn:
        return made(who.proxy.name, at, 0.1, late_s=next(late_s))

    monkeypatch.setattr(rounds, "_turn", took)
    turns = list(play(SCENARIO, standing, Fleet((), ()), seeds=[1, 2], again=2))
    assert [(turn.contender, turn.round, turn.counts) for turn in turns] == [
        ("steelyard", 0, True),
        ("nginx", 0, False),
        ("nginx", 0, False),
        ("nginx", 0, True),
        ("nginx", 1, True),
        ("steelyard", 1, True),
    ]
