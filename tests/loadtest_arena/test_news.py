"""Balancers that tell each other: late by as much as it takes, true in the end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loadtest.arena import Group, Scenario, Simulation
from loadtest.arena.events import Events
from loadtest.arena.news import News
from services.balancer.config import PolicySpec
from services.balancer.pick import build

BALANCERS, PROCESSES, MACHINES = 3, 2, 4
EVERY_S, DELAY_S = 0.01, 0.001
SCENARIO = Scenario(
    name="told",
    machines=(Group(count=4),),
    load=0.8,
    requests=500,
    warmup_s=0.0,
    balancers=3,
    news_s=0.005,
)


def told(rows: list[list[list[int]]]) -> tuple[News, Events]:
    news, events = News(rows), Events()
    news.start(events, EVERY_S, DELAY_S)
    return news, events


def known(news: News) -> list[list[int]]:
    """By balancer and machine, without the cell that says how old it is."""
    return [heard[:-1] for heard in news.heard]


def test_a_change_is_heard_by_the_others_after_its_time() -> None:
    rows = [[[0] * MACHINES for _ in range(PROCESSES)] for _ in range(BALANCERS)]
    news, events = told(rows)
    rows[0][0][2] = 3
    rows[0][1][2] = 1
    second_s = EVERY_S / BALANCERS  # when the second has its first round
    events.run_until(second_s)  # it has told and nobody has heard
    assert known(news) == [[0] * MACHINES] * BALANCERS
    events.run_until(1.01 * second_s)
    assert known(news) == [[0] * MACHINES, [0, 0, 4, 0], [0] * MACHINES]
    events.run_until(2.01 * second_s)
    assert known(news) == [[0] * MACHINES, [0, 0, 4, 0], [0, 0, 4, 0]]
    assert [heard[-1] for heard in news.heard] == [11_000] * BALANCERS  # microseconds, as it says


counts = st.lists(st.integers(0, 9), min_size=MACHINES, max_size=MACHINES)


@given(st.lists(st.lists(st.lists(counts, min_size=2, max_size=2), min_size=3, max_size=3)))
def test_whatever_changed_in_the_end_all_know(turns: list[list[list[list[int]]]]) -> None:
    rows = [[[0] * MACHINES for _ in range(PROCESSES)] for _ in range(BALANCERS)]
    news, events = told(rows)
    now = 0.0
    for turn in turns:
        for row, new in zip(rows, turn, strict=True):
            for process, pending in zip(row, new, strict=True):
                process[:] = pending
        now += EVERY_S / 2
        events.run_until(now)
    events.run_until(now + 3 * EVERY_S)
    held = [[sum(each) for each in zip(*row, strict=True)] for row in rows]
    everywhere = [sum(each) for each in zip(*held, strict=True)]
    for own, heard in zip(held, known(news), strict=True):
        assert [a + b for a, b in zip(own, heard, strict=True)] == everywhere


def test_policies_see_what_was_told_and_in_the_end_nothing_is_left() -> None:
    simulation = Simulation(SCENARIO, lambda: build(PolicySpec(name="least_pending")), seed=1)
    views = simulation.front.views  # type: ignore[attr-defined] # of balancers, not of the oracle
    wrong: list[int] = []

    def look(now: float, _: None) -> None:
        for view in views:
            for target in view.cluster.targets.values():
                machine = simulation.machines[target.slot]
                wrong.append(target.pending - machine.pending - machine.coming)
        simulation.events.at(now + 0.1, look)

    simulation.events.at(0.1, look)
    simulation.run()
    assert len(wrong) > 100
    assert sum(map(abs, wrong)) < 0.5 * len(wrong)  # alone, each would miss two thirds
    news = simulation.front.news  # type: ignore[attr-defined] # as above
    assert all(not any(row) for row in known(news))


def test_knowing_of_the_others_places_better() -> None:
    alone = replace(SCENARIO, news_s=0.0, requests=3_000)
    ratios = []
    for scenario in (alone, replace(alone, news_s=0.005)):
        run = Simulation(scenario, lambda: build(PolicySpec(name="least_pending")), seed=1).run()
        ratios.append(run.mean_s)
    assert ratios[1] < 0.9 * ratios[0]
