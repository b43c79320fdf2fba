"""A mistake in `deploy.yaml`: where it stands, what it is, what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Prints as `file:line:column: place: message; suggestion`. Lines count from 1."""

    file: str
    line: int
    column: int
    place: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: "
        text += f"{self.place}: {self.message}" if self.place else self.message
        return f"{text}; {self.suggestion}" if self.suggestion else text


class SettingsError(Exception):
    """The file cannot be used; `problems` has every reason, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        super().__init__("\n".join(map(str, self.problems)))


def nearest(word: str, known: Iterable[str]) -> str:
    """A suggestion for a mistyped word: the closest known one, else all of them."""
    known = list(known)
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
