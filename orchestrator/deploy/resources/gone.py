"""Deleting what may be gone already, or is held a while by what has just gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, until_visible

# A load balancer's network interfaces outlive it by minutes and hold its security groups; a target
# group may be in use a moment longer. Source: ELB API reference, "DeleteLoadBalancer".
_HELD = frozenset({"DependencyViolation", "ResourceInUse"})


@contextmanager
def unless(*codes: str) -> Iterator[None]:
    """Pass over these refusals: they say that the work was done before."""
    try:
        yield
    except CloudError as error:
        if error.code not in codes:
            raise


def when_let_go(delete: Callable[[], None], patience: Patience) -> None:
    """`delete`, repeated while something that is on its way out still holds on to the thing.

    Errors:
        CloudError: another refusal, or still held at the deadline.
    """
    until_visible(delete, lambda error: error.code in _HELD, patience)
