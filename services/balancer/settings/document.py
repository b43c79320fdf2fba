"""YAML text -> plain data that remembers where each key and value stands.

Scalars stay text: the schema decides what is a number, so `0123`, `1:30`, `no` and `1.10` mean what
was written wherever text is asked for. The tree is built from parser events, not by PyYAML's
composer: nothing recurses, and depth and size are bounded while reading (nesting deep enough
crashes libyaml's composer; aliases of aliases would fill the memory).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from services.balancer.settings.problems import Path, Problem, Spot, dotted

MAX_BYTES: Final = 4 * 1024 * 1024
MAX_DEPTH: Final = 20
MAX_NODES: Final = 200_000

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster where libyaml is
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})


class Scalar(str):
    """A scalar's text; `plain` when it stood without quotes, so that `true` may mean true."""

    __slots__ = ("plain",)
    plain: bool

    def typed(self) -> str | int | float | bool:
        """The value that YAML's core schema gives a plain scalar; quoted ones are text."""
        if not self.plain:
            return str(self)
        if self.lower() in ("true", "false"):
            return self.lower() == "true"
        for kind in (int, float):
            try:
                return kind(self)
            except ValueError:
                continue
        return str(self)


@dataclass
class Document:
    """The data of one file with the spot of each key and value, and what was wrong on the way."""

    file: str
    data: Any = None
    keys: dict[Path, Spot] = field(default_factory=dict)
    values: dict[Path, Spot] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def spot(self, path: Path, *, key: bool = False) -> Spot:
        """Where `path` stands, or the nearest thing above it that does."""
        if key and path in self.keys:
            return self.keys[path]
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Spot(self.file, 1, 1))

    def report(self, path: Path, message: str, suggestion: str = "", *, key: bool = False) -> None:
        """Add a problem at `path`."""
        spot = self.spot(path, key=key)
        place = dotted(path) if spot.line else ""  # a variable's name is its own place
        self.problems.append(Problem(spot, place, message, suggestion))


class _HaltError(Exception):
    """Reading cannot go on; the problem is reported already."""


@dataclass
class _Open:
    """A list or mapping whose end has not come yet. `key` is the one whose value comes next."""

    content: dict[str, Any] | list[Any]
    path: Path
    anchor: str | None
    key: str | None = None
    merge: bool = False


class _Builder:
    """Takes events, keeps a stack of open collections."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[_Open] = []
        self.anchors: dict[str, Any] = {}
        self.nodes = 0
        self.done = False

    def halt(self, event: yaml.Event, message: str, suggestion: str = "") -> _HaltError:
        """Report at an event's spot; the caller raises what comes back."""
        self.document.problems.append(Problem(self.at(event), "", message, suggestion))
        return _HaltError()

    def at(self, event: yaml.Event) -> Spot:
        mark = event.start_mark
        assert mark is not None  # noqa: S101 - the parser marks every event
        return Spot(self.document.file, mark.line + 1, mark.column + 1)

    def count(self, event: yaml.Event, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            raise self.halt(event, f"more than {MAX_NODES} values")

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.DocumentStartEvent):
            if self.done:
                raise self.halt(event, "a second YAML document begins here", "keep one")
        elif isinstance(event, yaml.ScalarEvent):
            self.count(event, 1)
            self.scalar(event)
        elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
            self.count(event, 1)
            self.begin(event, {} if isinstance(event, yaml.MappingStartEvent) else [])
        elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            self.end(event)
        elif isinstance(event, yaml.AliasEvent):
            self.alias(event)

    def scalar(self, event: yaml.ScalarEvent) -> None:
        text = Scalar(event.value)
        text.plain = event.style in (None, "")
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.content, dict) and top.key is None and not top.merge:
            self.key(event, top, text)
            return
        value = None if text.plain and text in _NULL else text
        if event.anchor:
            self.anchors[event.anchor] = value
        self.place(event, value)

    def key(self, event: yaml.ScalarEvent, top: _Open, text: Scalar) -> None:
        if text == "<<" and text.plain:
            top.merge = True
            return
        path = (*top.path, str(text))
        if path in self.document.keys:
            self.document.problems.append(
                Problem(
                    self.at(event),
                    dotted(path),
                    f"key {str(text)!r} is given twice",
                    f"the first is on line {self.document.keys[path].line}",
                )
            )
        else:
            self.document.keys[path] = self.at(event)
        top.key = str(text)

    def begin(self, event: yaml.CollectionStartEvent, content: dict[str, Any] | list[Any]) -> None:
        if len(self.stack) >= MAX_DEPTH:
            raise self.halt(event, f"nested deeper than {MAX_DEPTH} levels")
        top = self.stack[-1] if self.stack else None
        if top is not None and isinstance(top.content, dict) and top.key is None and not top.merge:
            raise self.halt(event, "a key must be text")
        path = self.next_path()
        self.document.values.setdefault(path, self.at(event))
        self.stack.append(_Open(content, path, event.anchor))

    def end(self, event: yaml.Event) -> None:
        closed = self.stack.pop()
        if closed.anchor:
            self.anchors[closed.anchor] = closed.content
        self.place(event, closed.content)

    def alias(self, event: yaml.AliasEvent) -> None:
        if event.anchor not in self.anchors:  # unknown, or inside itself
            raise self.halt(event, f"alias *{event.anchor} has no finished anchor before it")
        value = self.anchors[event.anchor]
        nodes, depth = _measure(value)
        self.count(event, nodes)
        if len(self.stack) + depth > MAX_DEPTH:
            raise self.halt(event, f"nested deeper than {MAX_DEPTH} levels")
        self.place(event, value)

    def next_path(self) -> Path:
        if not self.stack:
            return ()
        top = self.stack[-1]
        if isinstance(top.content, list):
            return (*top.path, len(top.content))
        return (*top.path, "<<" if top.merge else str(top.key))

    def place(self, event: yaml.Event, value: Any) -> None:
        """Put a finished value where it belongs."""
        self.document.values.setdefault(self.next_path(), self.at(event))
        if not self.stack:
            self.document.data = value
            self.done = True
            return
        top = self.stack[-1]
        if isinstance(top.content, list):
            top.content.append(value)
        elif top.merge:
            top.merge = False
            if not isinstance(value, dict):
                raise self.halt(event, "<< merges a mapping", "use an alias of one mapping")
            for name, merged in value.items():
                top.content.setdefault(name, merged)
        else:
            top.content[str(top.key)] = value
            top.key = None


def _measure(value: Any) -> tuple[int, int]:
    """How many values there are in `value` and how many levels; depth is bounded by MAX_DEPTH."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    nodes, depth = 1, 0
    for part in inner:
        more, below = _measure(part)
        nodes, depth = nodes + more, max(depth, below)
    return nodes, depth + 1


def read(text: bytes, file: str) -> Document:
    """Parse `text`; syntax errors and duplicate keys are in the document's `problems`."""
    document = Document(file)
    if len(text) > MAX_BYTES:
        document.problems.append(Problem(Spot(file), "", f"larger than {MAX_BYTES} bytes"))
        return document
    try:
        decoded = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        column = error.start - (text.rfind(b"\n", 0, error.start) + 1) + 1
        document.problems.append(Problem(Spot(file, line, column), "", "not UTF-8 text"))
        return document
    builder = _Builder(document)
    try:
        for event in yaml.parse(decoded, Loader=_Loader):
            builder.take(event)
    except _HaltError:
        pass  # reported where it was found
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        spot = Spot(file, mark.line + 1, mark.column + 1) if mark else Spot(file, 1, 1)
        message = " ".join(filter(None, (error.problem, error.context))) or "not YAML"
        document.problems.append(Problem(spot, "", f"not YAML: {message}"))
    except yaml.YAMLError as error:  # the reader: a character that YAML forbids
        document.problems.append(Problem(Spot(file, 1, 1), "", f"not YAML: {_one_line(error)}"))
    return document


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
