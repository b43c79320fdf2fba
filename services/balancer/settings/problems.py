"""A mistake in the configuration: where it is, what it is, what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

Path = tuple[str | int, ...]  # ("clusters", 0, "name")


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """A file position, counted from 1; line 0 when there is none (an environment variable)."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Prints as `file:line:column: place.in.config: message; suggestion`."""

    spot: Spot
    place: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.spot}: " + (f"{self.place}: " if self.place else "") + self.message
        return f"{text}; {self.suggestion}" if self.suggestion else text


class ConfigError(Exception):
    """The configuration cannot be used; `problems` has every reason, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def dotted(path: Path) -> str:
    """("clusters", 0, "name") as clusters[0].name."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion for a mistyped word: the closest known one, else all of them."""
    known = list(known)
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
