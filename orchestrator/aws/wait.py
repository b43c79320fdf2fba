"""Wait until a condition holds: a deadline, a pause between looks, and word of how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
)

from orchestrator.aws.errors import CloudError

T = TypeVar("T")
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, and how long between looks."""

    deadline_s: float = 300
    pause_s: float = 3


def wait_until(place: str, look: Callable[[], str], report: Report, patience: Patience) -> None:
    """Look until `look` returns an empty text; what it returns before is what is still missing.

    Errors:
        CloudError: the deadline has passed; its cause is what was missing last.
    """
    last = ""

    def once() -> str:
        nonlocal last
        missing = look()
        if missing and missing != last:
            report(f"{place}: {missing}")
        last = missing
        return missing

    try:
        Retrying(
            retry=retry_if_result(bool),
            stop=stop_after_delay(patience.deadline_s),
            wait=wait_fixed(patience.pause_s),
        )(once)
    except RetryError as error:
        cause = f"after {patience.deadline_s:g} s: {last}"
        raise CloudError(
            place, cause, "the command can be repeated, it goes on from here"
        ) from error


def until_visible(
    act: Callable[[], T], not_yet: Callable[[CloudError], bool], patience: Patience
) -> T:
    """Repeat `act` while a refusal is `not_yet`: what was just made is not there everywhere.

    Errors:
        CloudError: another refusal, or the same one after the deadline.
    """
    return Retrying(
        retry=retry_if_exception(lambda e: isinstance(e, CloudError) and not_yet(e)),
        stop=stop_after_delay(patience.deadline_s),
        wait=wait_fixed(patience.pause_s),
        reraise=True,
    )(act)
