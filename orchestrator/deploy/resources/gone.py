"""Deleting what may be gone already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.aws.errors import CloudError


@contextmanager
def unless(*codes: str) -> Iterator[None]:
    """Pass over these refusals: they say that the work was done before."""
    try:
        yield
    except CloudError as error:
        if error.code not in codes:
            raise
