"""What the configuration may give to a policy: kinds of parameters and their limits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final


class Parameter:
    """One parameter: `fault` says what is wrong with a value, or None."""

    __slots__ = ("fault",)

    def __init__(self, fault: Callable[[Any], str | None]) -> None:
        self.fault: Final = fault


def number(low: float, high: float) -> Parameter:
    """A number from `low` to `high`, both included."""

    def fault(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"must be a number, is {value!r}"
        if not low <= value <= high:  # nor is it when not a number
            return f"must be {low:g} to {high:g}, is {value:g}"
        return None

    return Parameter(fault)


def whole(low: int, high: int) -> Parameter:
    """A whole number from `low` to `high`, both included."""

    def fault(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return f"must be a whole number, is {value!r}"
        if not low <= value <= high:
            return f"must be {low} to {high}, is {value}"
        return None

    return Parameter(fault)


def text(fault: Callable[[str], str | None]) -> Parameter:
    """Text that `fault` has nothing to say against."""

    def checked(value: Any) -> str | None:
        return fault(value) if isinstance(value, str) else f"must be text, is {value!r}"

    return Parameter(checked)
