"""One target: claims and releases, what it takes to be open, what other processes hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.messages import Health
from services.balancer.target import Target
from tests.balancer.made import picture, target


@pytest.mark.parametrize("health", list(Health))
@pytest.mark.parametrize("draining", [False, True])
def test_only_a_healthy_target_that_is_not_draining_is_open(health: Health, draining: bool) -> None:
    made = Target(picture(0, health=health, draining=draining), limit=1, own_row=[0])
    expected = health is Health.HEALTHY and not draining
    assert made.open_to_requests is expected
    assert made.claim() is not draining  # in panic an unhealthy one is asked, too


def test_the_limit_counts_all_processes() -> None:
    own, other = [0, 0], [0, 3]
    made = Target(picture(1), limit=5, own_row=own, siblings=(other,))
    assert [made.claim() for _ in range(3)] == [True, True, False]
    assert (made.pending, made.full, own) == (5, True, [0, 2])
    other[1] = 0  # the other process died and its row was zeroed
    assert (made.pending, made.full) == (2, False)
    assert made.claim()


def test_what_other_balancers_have_there_counts_for_the_choice_and_not_for_the_limit() -> None:
    own, elsewhere = [0, 0], [0, 7]
    made = Target(picture(1), limit=2, own_row=own, siblings=([0, 1],), elsewhere=elsewhere)
    assert made.claim()
    assert (made.pending, made.held, made.full, made.claim()) == (9, 2, True, False)
    heard = [made.elsewhere]
    made.hear(None)
    heard.append(made.elsewhere)
    assert heard == [elsewhere, None]
    assert (made.pending, made.held) == (2, 2)


def test_a_release_too_many_is_loud() -> None:
    made = target(0, pending=1)
    made.release()
    with pytest.raises(RuntimeError, match=r"release without claim: c/10\.0\.0\.0:80"):
        made.release()
    assert made.pending == 0


def test_one_that_has_left_refuses_claims_and_takes_releases() -> None:
    made = target(0, pending=2)
    made.leave()
    assert not made.claim()
    made.release()
    made.release()
    assert made.pending == 0


def test_back_from_illness_it_is_unjudged() -> None:
    made = target(0)
    made.load.fail(3.0, now=1.0)
    made.see(picture(0, draining=True))
    made.see(picture(0))
    assert made.load.finished == 1  # a drain is no illness
    made.see(picture(0, health=Health.UNHEALTHY))
    made.see(picture(0))
    assert made.load.finished == 0


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 5))
def test_pending_is_claims_minus_releases(steps: list[bool], limit: int) -> None:
    row = [0]
    made = Target(picture(0), limit=limit, own_row=row)
    expected = 0
    for claim in steps:
        if claim:
            assert made.claim() is (expected < limit)
            expected = min(expected + 1, limit)
        elif expected:
            made.release()
            expected -= 1
        assert made.pending == row[0] == expected
    assert repr(made) == f"<Target c/10.0.0.0:80 healthy, pending {expected}>"
