"""Which failed requests go out once more."""

from __future__ import annotations

from typing import Final

import pytest

from services.balancer.dataplane.errors import Fault
from services.balancer.dataplane.retry import (
    IDEMPOTENT,
    NEVER_SENT_RETRIES,
    RETRIES,
    STALE_RETRIES,
    Tries,
)

METHODS: Final = (b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"POST", b"PATCH", b"get", b"X")
HARMLESS: Final = METHODS[:5]  # RFC 9110, 9.2.2, of those that are served


def count(fault: Fault, method: bytes, *, bodyless: bool) -> int:
    """How often the same fault in a row is forgiven."""
    tries = Tries()
    for times in range(100):
        if not tries.allows(fault, method, bodyless=bodyless):
            return times
    pytest.fail("retries without end")


@pytest.mark.parametrize("bodyless", [True, False], ids=["bodyless", "body"])
@pytest.mark.parametrize("method", METHODS, ids=bytes.decode)
@pytest.mark.parametrize("fault", Fault, ids=lambda fault: fault.value)
def test_how_often_a_fault_is_forgiven(fault: Fault, method: bytes, bodyless: bool) -> None:
    """The whole table: fault x method x body."""
    safe = bodyless and method in HARMLESS
    allowed = {
        Fault.CONNECT: NEVER_SENT_RETRIES,  # nobody has seen it: any request may go again
        Fault.STARVED: 0,  # another target has no descriptor for us either
        Fault.STALE: STALE_RETRIES if safe else 0,
        Fault.BROKEN: RETRIES if safe else 0,
        Fault.TIMEOUT: RETRIES if safe else 0,
    }
    assert count(fault, method, bodyless=bodyless) == allowed[fault]
    assert not Tries().allows(fault, method, bodyless=bodyless, time_left=False)


def test_the_bounds_are_small() -> None:
    """A failing cluster is not asked many times over by one request."""
    assert (RETRIES, NEVER_SENT_RETRIES, STALE_RETRIES) == (1, 2, 2)
    assert frozenset(HARMLESS) == IDEMPOTENT


def test_mixed_faults_add_up_to_a_bound() -> None:
    """Faults of every kind, in turns: at most as many tries as the bounds together."""
    tries = Tries()
    kinds = (Fault.CONNECT, Fault.STALE, Fault.BROKEN)
    allowed = sum(tries.allows(kinds[turn % 3], b"GET", bodyless=True) for turn in range(60))
    assert allowed == RETRIES + NEVER_SENT_RETRIES + STALE_RETRIES


def test_one_request_does_not_spend_anothers_tries() -> None:
    """Counts belong to a request."""
    spent = Tries()
    while spent.allows(Fault.CONNECT, b"GET", bodyless=True):
        pass
    assert Tries().allows(Fault.CONNECT, b"GET", bodyless=True)
