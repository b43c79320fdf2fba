"""Field lines: each is read once while it is remembered, and says the same every time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from services.balancer.dataplane.http1 import (
    parse_request_fields,
    parse_response_fields,
    request_lines,
    response_lines,
)
from services.balancer.dataplane.lines import TOKEN, VALUE, FieldLines, split, without

LINE = re.compile(rb"(?:" + TOKEN + rb":" + VALUE + rb"\r\n)*")
NOTED = frozenset({b"host"})
texts = st.sampled_from(
    [b"Host: a", b"host:b ", b"A: b", b"A:", b": b", b"A : b", b" A: b", b"A\n: b", b"A: \r", b""]
)


@given(st.lists(texts, max_size=6), st.booleans())
def test_a_section_is_its_lines_or_breaks_the_grammar(lines: list[bytes], ended: bool) -> None:
    section = b"\r\n".join(lines) + b"\r\n" * (ended and bool(lines))
    found = split(section)
    good = FieldLines(NOTED).noted(found) is not None
    assert good is (LINE.fullmatch(section) is not None)
    if good:
        assert without(found, ()) == section
        assert b"A: b\r\n" not in without(found, {b"A: b"})


@given(st.lists(texts, max_size=12))
def test_what_is_remembered_says_the_same(lines: list[bytes]) -> None:
    """A line is known by its own bytes, whatever stood around it."""
    known = FieldLines(NOTED)
    for text in lines:
        found = known.noted([text])
        fresh = FieldLines(NOTED).noted([text])
        assert (found is None) is (fresh is None)
        if found is not None and fresh is not None:
            assert [(x.text, x.name, x.value) for x in found] == [
                (x.text, x.name, x.value) for x in fresh
            ]


def test_neither_many_lines_nor_long_ones_fill_the_memory() -> None:
    known = FieldLines(NOTED)
    for number in range(3 * FieldLines.CACHED):
        assert known.noted([b"A: %d" % number]) == []
        assert 1 <= len(known.known) <= FieldLines.CACHED
    for length, kept in ((FieldLines.CACHED_BYTES, True), (FieldLines.CACHED_BYTES + 1, False)):
        text = b"A: " + b"b" * (length - 3)
        assert known.noted([text]) == []
        assert (text in known.known) is kept
    assert known.noted([b"no line"]) is None
    assert b"no line" not in known.known


def test_lines_that_are_shared_by_sections_are_read_once() -> None:
    for parse, lines in (
        (parse_request_fields, request_lines()),
        (parse_response_fields, response_lines()),
    ):
        for number in range(3):
            section = b"Content-Length: 1\r\nConnection: close, x\r\nX: y\r\nN: %d\r\n" % number
            fields = parse(section, 9, lines)
            assert (fields.content_length, fields.close) == (1, True)
            assert fields.onward == b"Content-Length: 1\r\nN: %d\r\n" % number
        assert len(lines.known) == 6
