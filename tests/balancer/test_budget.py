"""The retry budget against what it promises, whatever comes when."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.budget import RetryBudget
from services.balancer.config import Retry

RULES = Retry()  # 20 % over 10 s, and 3 a second

steps = st.lists(
    st.tuples(st.floats(0.0, 3.0), st.integers(0, 40), st.integers(0, 40)), max_size=60
)


@given(steps, st.floats(0.0, 100.0), st.floats(0.0, 5.0))
def test_no_window_spends_more_than_it_earns(
    events: list[tuple[float, int, int]], percent: float, few: float
) -> None:
    """Each step: time passes, requests come, retries are wished for."""
    rules = Retry(budget_percent=percent, budget_per_s=few)
    budget = RetryBudget(rules)
    now, requests = 0.0, 0
    came: list[tuple[float, int]] = []
    spent: list[float] = []
    for passes, more, wishes in events:
        now += passes
        requests += more
        came.append((now, more))
        budget.roll(now, requests)
        spent += [now for _ in range(wishes) if budget.spend(now, requests)]
        recent = sum(at > now - rules.budget_window_s for at in spent)
        slack = rules.budget_window_s * 1.3  # slices, and what came just before the last look
        earned = sum(count for at, count in came if at > now - slack) * percent / 100
        assert recent <= earned + few * rules.budget_window_s + 1e-6


@given(st.integers(0, 2000))
def test_a_fifth_of_the_requests_and_thirty(requests: int) -> None:
    budget = RetryBudget(RULES)
    spent = sum(budget.spend(1.0, requests) for _ in range(1000))
    assert spent == int(requests * 0.2 + 30 + 1e-9)


def test_what_is_long_ago_counts_no_more() -> None:
    budget = RetryBudget(RULES)
    assert sum(budget.spend(1.0, 1000) for _ in range(300)) == 230
    assert not budget.spend(9.0, 1000)
    assert sum(budget.spend(12.5, 1000) for _ in range(300)) == 30
    assert repr(budget) == "<RetryBudget 30 retries of 0 requests>"
    assert sum(budget.spend(1e6, 1000) for _ in range(300)) == 30


def test_processes_share_what_is_given_per_second() -> None:
    """The part of the requests needs no sharing: each process sees its own."""
    budget = RetryBudget(RULES, share=0.25)
    assert sum(budget.spend(1.0, 100) for _ in range(300)) == 20 + 7


def test_asking_spends_nothing() -> None:
    budget = RetryBudget(Retry(budget_percent=0, budget_per_s=0.1))
    assert all(budget.left(1.0, 0) for _ in range(10))
    assert budget.spend(1.0, 0)
    assert not budget.left(1.0, 0)
