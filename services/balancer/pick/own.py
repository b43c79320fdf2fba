"""A user's own policy: `policy: {module: my_policy:Mine}`, a class that Python can import.

Whoever writes the configuration chooses what code the balancer runs; that is what it is for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from services.balancer.pick.policy import Policy

_PLACE: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_own(name: str) -> bool:
    """Whether a policy's name is the place of a class."""
    return ":" in name


def find(name: str) -> Callable[..., Policy]:
    """The class at `module:Class`; raises ValueError when there is none with a method `pick`."""
    if _PLACE.fullmatch(name) is None:
        raise ValueError(f"{name!r} is not of the form module:Class")
    module_name, _, class_name = name.partition(":")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        hint = "it must be on PYTHONPATH or where the balancer is started"
        raise ValueError(f"policy {name!r}: there is no module {error.name!r}; {hint}") from error
    except Exception as error:  # a user's module may raise anything
        raise ValueError(f"policy {name!r} cannot be imported: {_said(error)}") from error
    made = getattr(module, class_name, None)
    if not isinstance(made, type) or not callable(getattr(made, "pick", None)):
        raise ValueError(f"policy {name!r}: no class {class_name!r} with a method pick is there")
    return made


def make(name: str, params: dict[str, Any]) -> Policy:
    """A new policy object; raises ValueError when its class does not take the parameters."""
    try:
        return find(name)(**params)
    except ValueError:
        raise
    except Exception as error:  # and so may its class
        raise ValueError(f"policy {name!r} cannot be made: {_said(error)}") from error


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
