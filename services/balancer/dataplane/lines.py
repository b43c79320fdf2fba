"""The lines of a field section, each read once: what it says, and whether that concerns this hop.

No I/O. Sections differ more often than most of their lines do (a cookie is one user's, what his
browser accepts is not), so lines that were read are remembered by their own bytes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

# RFC 9110, 5.6.2 and 5.5. Possessive, so that a hostile head cannot make the match backtrack.
TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
VALUE: Final = rb"[\t\x20-\x7e\x80-\xff]*+"
_LINE: Final = re.compile(rb"(" + TOKEN + rb"):[ \t]*+(" + VALUE + rb")")
_END: Final = b"\r\n"


class FieldLine:
    """A line without its CRLF. `noted`: it concerns this hop; `name` is lower-case then."""

    __slots__ = ("name", "noted", "text", "value")

    def __init__(self, text: bytes, name: bytes, value: bytes, *, noted: bool) -> None:
        self.text = text
        self.name = name
        self.value = value
        self.noted = noted


class FieldLines:
    """Lines by their own bytes; forgets everything when full. `noted` are names, lower-case.

    Bounded: at most `CACHED` lines of at most `CACHED_BYTES` each. A line that breaks the grammar
    is never kept.
    """

    CACHED: Final = 1024
    CACHED_BYTES: Final = 512

    __slots__ = ("_noted", "known")

    def __init__(self, noted: frozenset[bytes]) -> None:
        self.known: dict[bytes, FieldLine] = {}
        self._noted = noted

    def noted(self, texts: list[bytes]) -> list[FieldLine] | None:
        """Those that concern this hop, in order; None when a line breaks the grammar."""
        known = self.known
        found: list[FieldLine] = []
        for text in texts:
            line = known.get(text)
            if line is None:
                line = self.read(text)
                if line is None:
                    return None
            if line.noted:
                found.append(line)
        return found

    def read(self, text: bytes) -> FieldLine | None:
        """One that is new to us (RFC 9112, 5)."""
        match = _LINE.fullmatch(text)
        if match is None:
            return None
        name = match[1].lower()
        line = FieldLine(text, name, match[2].rstrip(b" \t"), noted=name in self._noted)
        if len(text) <= self.CACHED_BYTES:
            if len(self.known) >= self.CACHED:
                self.known.clear()
            self.known[text] = line
        return line


def split(section: bytes) -> list[bytes]:
    """The lines of a section, in which each ends in CRLF."""
    texts = section.split(_END)
    if texts[-1]:
        return [b""]  # the last has no end: a line that breaks the grammar
    texts.pop()
    return texts


def without(texts: list[bytes], dropped: Collection[bytes]) -> bytes:
    """A section again, of the lines that are not dropped."""
    return b"".join([text + _END for text in texts if text not in dropped])
