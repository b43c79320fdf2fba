"""Every line of the requests' tables, through a real plane to a target that h11 reads for."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import chain
from typing import Final

import h11
import pytest

from tests.balancer.dataplane.stand import data_plane
from tests.conformance import request_bodies, request_heads, responses, sequences
from tests.conformance.cases import ANSWER, OWN, Answered, Asked

CASES: Final = tuple(chain(*request_heads.TABLES, *request_bodies.TABLES, *sequences.TABLES))
# What this hop says of itself, at the end of every head.
_OWN_LINES: Final = re.compile(
    rb"X-Forwarded-For: 127\.0\.0\.1\r\nX-Forwarded-Proto: http\r\n"
    rb"Via: 1\.1 steelyard\r\nX-Request-Id: [0-9a-f-]+\r\n"
)


class Reader:
    """A target that another parser frames the requests for; keeps every message's bytes."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: answer each request when it is whole."""
        wire = b""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        while piece := await reader.read(65_536):
            wire += piece
            parser.receive_data(piece)
            while (event := parser.next_event()) is not h11.NEED_DATA:
                assert event is not h11.PAUSED
                if isinstance(event, h11.EndOfMessage):
                    rest = parser.trailing_data[0]
                    self.messages.append(wire[: len(wire) - len(rest)])
                    wire = rest
                    parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
                    if rest:  # nothing would say that the connection has ended
                        parser.receive_data(rest)
                    head_only = self.messages[-1].startswith(b"HEAD ")
                    writer.write(ANSWER[:-2] if head_only else ANSWER)
        writer.close()


@asynccontextmanager
async def reading_target() -> AsyncIterator[tuple[Reader, int]]:
    """The target and its port."""
    target = Reader()
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    try:
        yield target, server.sockets[0].getsockname()[1]
    finally:
        server.close()


def without_own_lines(message: bytes) -> bytes:
    """The message as it would have gone on without this hop; its lines are there exactly once."""
    rest, count = _OWN_LINES.subn(b"", message)
    assert count == 1
    return rest


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_request(case: Asked) -> None:
    async with reading_target() as (target, port), data_plane(port) as stand:
        wire = await stand.connect()
        await wire.send(case.sent)
        if case.half:
            wire.writer.write_eof()
        head_only = case.sent.startswith(b"HEAD ")
        for status in case.statuses:
            if head_only:
                head = await wire.until(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 %d " % status)
            else:
                assert (await wire.answer())[0] == status
        if case.closes:
            assert await wire.rest() == b""
        else:
            await wire.send(OWN)
            assert (await wire.answer())[2] == b"own"
        assert tuple(map(without_own_lines, target.messages)) == case.seen


def test_the_corpus_is_as_large_as_it_should_be_and_names_its_sections() -> None:
    everything: tuple[Asked | Answered, ...] = (*CASES, *chain(*responses.TABLES))
    assert len(everything) >= 300
    assert all(
        re.fullmatch(r"(?:9110|9112|6585|7239) [0-9C]+(?:\.[0-9]+)*", c.section) for c in everything
    )
    for cases in (CASES, everything[len(CASES) :]):
        assert [name for name, count in Counter(map(str, cases)).items() if count > 1] == []
