"""However a message is cut on its way, it is framed alike: the cases of the corpus, and others."""

from __future__ import annotations

import re
from itertools import chain
from random import Random
from typing import Final

import pytest

from tests.conformance import request_bodies, request_heads, responses, sequences
from tests.fuzz import generate
from tests.fuzz.inside import Inside

_TABLES: Final = (*request_heads.TABLES, *request_bodies.TABLES, *sequences.TABLES)
REQUESTS: Final = [case for case in chain(*_TABLES) if len(case.sent) < 1_500]
ANSWERS: Final = [case for case in chain(*responses.TABLES) if len(case.answered) < 1_500]
SINGLE: Final = 6  # cuts of their own, beside the one after every byte
_ID: Final = re.compile(rb"(?<=X-Request-Id: )[0-9a-f-]+")


def forwarded(inside: Inside, wire: bytes, *cuts: int) -> list[tuple[int, bytes]]:
    """What went on, and where each of it ended; request ids aside."""
    return [(one.end, _ID.sub(b"", one.sent)) for one in inside.forward(wire, *cuts)]


def _same_requests(inside: Inside, wire: bytes, rng: Random) -> None:
    whole = forwarded(inside, wire)
    assert forwarded(inside, wire, *range(len(wire))) == whole, "byte by byte"
    for cut in rng.sample(range(len(wire)), min(SINGLE, len(wire))):
        assert forwarded(inside, wire, cut) == whole, f"cut at {cut}"


def _same_answers(inside: Inside, method: bytes, wire: bytes, rng: Random, *, ends: bool) -> None:
    whole = inside.relay(method, wire, ends=ends)
    assert inside.relay(method, wire, *range(len(wire)), ends=ends) == whole, "byte by byte"
    for cut in rng.sample(range(len(wire)), min(SINGLE, len(wire))):
        assert inside.relay(method, wire, cut, ends=ends) == whole, f"cut at {cut}"


def test_requests_of_the_corpus() -> None:
    inside, rng = Inside(), Random(1)
    for case in REQUESTS:
        _same_requests(inside, case.sent, rng)


def test_answers_of_the_corpus() -> None:
    inside, rng = Inside(), Random(2)
    for case in ANSWERS:
        method = case.asked.partition(b" ")[0]
        if case.answered:
            _same_answers(inside, method, case.answered, rng, ends=case.ends)


@pytest.mark.parametrize("seed", range(2))
def test_messages_grown_from_the_grammar(seed: int) -> None:
    inside, rng = Inside(), Random(seed)
    for _ in range(300):
        _same_requests(inside, generate.requests(rng) or b"\r\n", rng)
        _same_answers(inside, b"POST", generate.answers(rng) or b"\r\n", rng, ends=bool(seed))
