"""Types and unknown keys: pydantic over the dataclasses of `config`, its errors in our words."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from services.balancer.config import Config
from services.balancer.settings.document import Document
from services.balancer.settings.problems import Path, nearest

# Wrapped in a tuple: pydantic takes a configuration from outside only for what is no dataclass.
_adapter: Final[TypeAdapter[tuple[Config]]] = TypeAdapter(
    tuple[Config], config=ConfigDict(extra="forbid", allow_inf_nan=False)
)

_WANTED: Final = {
    "string_type": "text",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of sane size",
    "float_parsing": "a number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "dataclass_type": "a mapping",
    "dataclass_exact_type": "a mapping",
}
_ELSE: Final = {"region": "write it, or set AWS_REGION"}  # where else a missing value may stand


@cache
def hints(kind: type) -> dict[str, Any]:
    """The types of a dataclass's fields, by name, in order."""
    return typing.get_type_hints(kind)


def _inner(hint: Any) -> Any:
    """What is inside `X | None`."""
    if isinstance(hint, types.UnionType):
        return next(part for part in typing.get_args(hint) if part is not type(None))
    return hint


def kind_at(path: Path) -> type | None:
    """The dataclass whose fields `path` leads to; None where there is none."""
    hint: Any = Config
    for part in path:
        if isinstance(part, int):
            hint = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
        else:
            hint = hints(hint).get(part) if isinstance(hint, type) else None
        hint = _inner(hint)
    return hint if isinstance(hint, type) and dataclasses.is_dataclass(hint) else None


def leaves(data: Any, hint: Any = Config, path: Path = ()) -> Iterator[tuple[str, str, Path, Any]]:
    """Each scalar or mapping that fills a field: (dataclass, field, path, value). Skips misfits."""
    hint = _inner(hint)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        if not isinstance(data, dict):
            return
        for name, declared in hints(hint).items():
            if data.get(name) is None:
                continue
            inner = _inner(declared)
            here = (*path, name)
            if typing.get_origin(inner) is tuple and isinstance(data[name], list):
                item = typing.get_args(inner)[0]
                for index, value in enumerate(data[name]):
                    if dataclasses.is_dataclass(item):
                        yield from leaves(value, item, (*here, index))
                    elif value is not None:
                        yield hint.__name__, name, (*here, index), value
            elif dataclasses.is_dataclass(inner):
                yield from leaves(data[name], inner, here)
            else:
                yield hint.__name__, name, here, data[name]


def check(document: Document) -> Config | None:
    """The data as a Config; or None, and every misfit is reported."""
    try:
        return _adapter.validate_python((document.data,))[0]
    except ValidationError as error:
        for misfit in error.errors(include_url=False, include_context=False):
            path: Path = misfit["loc"][1:]
            _report(document, path, misfit["type"], misfit["input"], misfit["msg"])
    return None


def _report(document: Document, path: Path, kind: str, value: Any, message: str) -> None:
    if kind == "unexpected_keyword_argument":
        parent = kind_at(path[:-1])
        known = hints(parent) if parent else {}
        document.report(path, f"unknown key {path[-1]!r}", nearest(str(path[-1]), known), key=True)
    elif kind == "missing":
        document.report(path[:-1], f"{path[-1]!r} is missing", _ELSE.get(str(path[-1]), ""))
    elif kind in _WANTED:
        document.report(path, f"must be {_WANTED[kind]}, is {_shown(value)}")
    else:
        document.report(path, message)


def _shown(value: Any) -> str:
    if value is None:
        return "empty"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...")
