"""moto's AWS without what costs a test most: it makes hundreds of machine images anew, twice, and
finds out at every call, for every field, what it found out at the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pkgutil import resolve_name
from typing import Any, Final
from unittest.mock import patch

from moto import mock_aws
from moto.core.serialize import AttributePickerContext, XFormedAttributePicker
from moto.core.utils import get_value
from moto.ec2.models import amis
from moto.utilities.utils import load_resource

ANY_IMAGE: Final = "ami-12c6146b"
_LATEST: Final = "al2023-ami-2023"  # what the orchestrator finds by its SSM parameter

_MISSING: Final = object()
# Each says the same to the same words: asked once.
_ANSWERED_ONCE: Final[dict[str, Callable[..., Any]]] = {
    path: cache(resolve_name(path))
    for path in (
        "moto.kms.models.generate_private_key",  # of every disk; nobody looks at it
        "xmltodict._validate_name",
        "botocore.useragent.sanitize_user_agent_string_component",
    )
}


def _once_as_it_is(plain: Callable[[type], list[str]]) -> Callable[[type], list[str]]:
    """Of a class, once for each set of its names: the local cloud adds methods for a while."""
    known: dict[tuple[object, ...], list[str]] = {}

    def names(of: type) -> list[str]:
        key = (of, *(frozenset(vars(base)) for base in of.__mro__))
        if key not in known:
            known[key] = plain(of)
        return known[key]

    return names


_METHODS: Final = "moto.core.responses.method_names_from_class"
_ANSWERED_ONCE[_METHODS] = _once_as_it_is(resolve_name(_METHODS))


def _wanted(image: dict[str, Any]) -> bool:
    return image["ami_id"] == ANY_IMAGE or str(image["name"]).startswith(_LATEST)


@cache
def _few(path: str) -> tuple[dict[str, Any], ...]:
    return tuple(image for image in load_resource(path) if _wanted(image))


def _copies(path: str) -> list[dict[str, Any]]:
    return [dict(image) for image in _few(path)]  # moto writes into them


class _Field:
    """How a field of an answer is found; a matter of classes and shapes, not of objects."""

    _plain = XFormedAttributePicker.get_possible_keys

    def __init__(self, picker: XFormedAttributePicker, context: AttributePickerContext) -> None:
        self.names = tuple(dict.fromkeys(_Field._plain(picker, context)))
        path = f"{context.key_path}.{context.key}"
        found = (t for end, t in picker.response_transformers.items() if path.endswith(end))
        self.transform = next(found, None)


def _picks() -> Callable[[XFormedAttributePicker, AttributePickerContext], Any]:
    fields: dict[tuple[object, ...], _Field] = {}

    def pick(picker: XFormedAttributePicker, context: AttributePickerContext) -> Any:
        shape, of = context.shape, context.obj
        parent = getattr(shape, "parent", None)
        place = (type(of), shape, parent, context.service_model, context.key_path, context.key)
        field = fields.get(place)
        if field is None:
            field = fields[place] = _Field(picker, context)
        for name in field.names:
            if (value := get_value(of, name, _MISSING)) is not _MISSING:
                break
        else:
            value = None
        return value if field.transform is None else field.transform(value)

    return pick


_pick: Final = _picks()


@contextmanager
def emulated() -> Iterator[None]:
    """An empty account in every region, for as long as this lasts."""
    few = [image for image in amis.AMIS if _wanted(image)]
    with ExitStack() as stack:
        for path, remembered in _ANSWERED_ONCE.items():
            stack.enter_context(patch(path, remembered))
        stack.enter_context(patch.object(XFormedAttributePicker, "__call__", _pick))
        stack.enter_context(patch.object(amis, "AMIS", few))
        stack.enter_context(patch.object(amis, "load_resource", _copies))
        stack.enter_context(mock_aws())
        yield
