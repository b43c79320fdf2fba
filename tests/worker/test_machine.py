"""The modelled machine against what must hold for any history, and against hand-made figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.worker.machine import CREDIT_S, TICK_S, TYPES, Machine, MachineType

FLAT = MachineType("flat", 1)

machines = st.sampled_from([FLAT, MachineType("flat2", 2, speed=1.7), *TYPES.values()])
# (gap before it in s, what happens, how much)
histories = st.lists(
    st.tuples(
        st.floats(0, 5),
        st.sampled_from(["arrive", "leave", "factor"]),
        st.floats(0.001, 3),
    ),
    max_size=40,
)


def finish_times(machine: Machine) -> dict[int, float]:
    """Run until the machine is idle; when each job finished."""
    times: dict[int, float] = {}
    while math.isfinite(at_s := machine.next_event_s()):
        for job in machine.advance(at_s):
            times[job] = at_s
    return times


@given(machines, st.floats(0, 0.5), histories)
def test_no_history_breaks_the_books(
    kind: MachineType, credits: float, history: list[tuple[float, str, float]]
) -> None:
    machine = Machine(kind, 0.0, credits)
    now_s, demanded_s, abandoned = 0.0, {}, 0.0
    finished: set[int] = set()
    for gap_s, what, amount in history:
        now_s += gap_s
        before_s, jobs_before = machine.work_done_s, machine.jobs
        finished.update(machine.advance(now_s))
        if not jobs_before:
            assert machine.work_done_s == before_s  # an idle machine does nothing
        elif gap_s > TICK_S:
            assert machine.work_done_s > before_s  # one with work is never idle
        if what == "arrive":
            demanded_s[machine.arrive(now_s, amount)] = amount
        elif what == "factor":
            machine.set_factor(now_s, amount / 3)
        elif demanded_s:
            job = max(demanded_s)
            if job not in finished:
                abandoned += demanded_s.pop(job)
            machine.leave(now_s, job)
        assert machine.balance_s >= 0
        assert machine.balance_s <= kind.max_balance_s
        assert machine.used_s <= machine.usable_s + 1e-6
    machine.set_factor(now_s, 1.0)
    finished.update(finish_times(machine))
    assert finished >= set(demanded_s)  # nobody is forgotten
    assert machine.jobs == 0
    total_s = sum(demanded_s.values())
    assert total_s - 1e-3 <= machine.work_done_s <= total_s + abandoned + 1e-3


@given(st.lists(st.floats(0.01, 5), min_size=1, max_size=20), st.integers(1, 4))
def test_jobs_that_start_together_share_evenly(demands: list[float], vcpus: int) -> None:
    machine = Machine(MachineType("flat", vcpus), 0.0)
    jobs = {machine.arrive(0.0, demand): demand for demand in demands}
    times = finish_times(machine)
    # By hand: while n are left each advances at min(1, vcpus / n).
    at_s, received_s, left = 0.0, 0.0, len(demands)
    for job, demand in sorted(jobs.items(), key=lambda item: item[1]):
        at_s += (demand - received_s) / min(1.0, vcpus / left)
        received_s, left = demand, left - 1
        assert times[job] == pytest.approx(at_s, abs=1e-4)


def test_a_job_that_leaves_speeds_up_the_others() -> None:
    machine = Machine(FLAT, 0.0)
    stays, leaves = machine.arrive(0.0, 1.0), machine.arrive(0.0, 1.0)
    machine.leave(1.0, leaves)  # each has half a second by now
    assert finish_times(machine) == {stays: 1.5}


def test_the_order_of_calls_within_an_instant_loses_no_job() -> None:
    machine = Machine(FLAT, 0.0)
    first = machine.arrive(0.0, 1.0)
    second = machine.arrive(5.0, 1.0)  # the first has finished meanwhile, unseen
    assert machine.advance(5.0) == [first]
    assert machine.advance(6.0) == [second]


def test_at_exhaustion_the_speed_falls_to_the_baseline() -> None:
    micro = TYPES["t2.micro"]
    machine = Machine(micro, 0.0, credits=0.015)  # 0.9 vCPU-seconds
    job = machine.arrive(0.0, 2.0)
    # Net loss 0.9 a second: empty after 1 s; the second second of work takes ten.
    assert machine.next_event_s() == pytest.approx(1.0)
    machine.advance(1.0)
    assert machine.credits == 0
    assert machine.throttled
    assert finish_times(machine)[job] == pytest.approx(11.0)


def test_credits_come_back_while_idle_up_to_a_day() -> None:
    machine = Machine(TYPES["t2.micro"], 0.0, credits=0)
    machine.advance(3600.0)
    assert machine.credits == pytest.approx(6.0)  # as the vendor's table says
    machine.advance(1e7)
    assert machine.credits == pytest.approx(144.0)


def test_an_unlimited_type_is_never_throttled() -> None:
    machine = Machine(TYPES["t3.micro"], 0.0)
    job = machine.arrive(0.0, 100.0)
    assert finish_times(machine)[job] == pytest.approx(100.0)
    assert machine.credits == 0


def test_an_antagonist_slows_and_shows_as_steal() -> None:
    machine = Machine(FLAT, 0.0)
    job = machine.arrive(0.0, 1.0)
    machine.set_factor(0.0, 0.25)
    assert finish_times(machine)[job] == pytest.approx(4.0)
    assert machine.stolen_s == pytest.approx(3.0)
    assert machine.used_s == pytest.approx(machine.usable_s)


def test_a_throttled_machine_with_an_antagonist_comes_to_an_end() -> None:
    # Half the cycles of an exhausted machine, which still earns: no endless small steps.
    machine = Machine(TYPES["t2.large"], 0.0, credits=0)
    machine.set_factor(0.0, 0.25)
    job = machine.arrive(0.0, 10.0)
    assert finish_times(machine)[job] == pytest.approx(40.0)
    assert machine.balance_s == pytest.approx((0.6 - 0.25) * 40)


def test_every_event_that_is_announced_happens_when_its_time_has_come() -> None:
    # At large clock values an event can be nearer than the clock can tell apart.
    machine = Machine(TYPES["t2.micro"], 1e8, credits=0.001)
    for _ in range(3):
        machine.arrive(1e8, 0.1)
    for _ in range(10):
        machine.advance(machine.next_event_s() if machine.jobs else 2e8)
    assert machine.jobs == 0


def test_many_departures_leave_nothing_behind() -> None:
    machine = Machine(FLAT, 0.0)
    stays = machine.arrive(0.0, 1e9)
    for step in range(2000):
        machine.leave(step, machine.arrive(step, math.inf))
    assert machine.jobs == 1
    assert len(machine._heap) < 200
    assert stays not in machine.advance(2000.0)


@pytest.mark.parametrize(
    ("name", "credits_an_hour"),
    [("t2.micro", 6), ("t2.large", 36), ("t3.micro", 12), ("t3.medium", 24)],
)
def test_types_earn_what_the_vendor_says(name: str, credits_an_hour: float) -> None:
    assert TYPES[name].earned * 3600 / CREDIT_S == pytest.approx(credits_an_hour)
