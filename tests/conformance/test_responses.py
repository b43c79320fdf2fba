"""Every line of the responses' tables: what a target answers, and what a client sees of it."""

from __future__ import annotations

import asyncio
from itertools import chain
from typing import Final

import pytest

from tests.balancer.dataplane.stand import Wire, data_plane
from tests.conformance import responses
from tests.conformance.cases import GET, OWN, Answered
from tests.stand.proc import PATIENCE_S
from tests.stand.target import StubTarget, plain, raw

CASES: Final = tuple(chain(*responses.TABLES))


async def read_to_a_clean_end(wire: Wire, into: bytearray) -> None:
    """Keep what comes."""
    while piece := await asyncio.wait_for(wire.reader.read(65_536), PATIENCE_S):
        into += piece


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_an_answer(case: Answered) -> None:
    answer = raw(case.answered, end=case.ends)
    async with StubTarget(answer) as target, data_plane(target) as stand:
        wire = await stand.connect()
        await wire.send(case.asked)
        if case.seen.endswith(b"HTTP/1.1 502 "):
            interim = case.seen.removesuffix(b"HTTP/1.1 502 ")
            assert await wire.exactly(len(interim)) == interim
            assert (await wire.answer())[0] == 502
        elif not case.cut:
            assert await wire.exactly(len(case.seen)) == case.seen
        if case.cut:
            begun = bytearray()
            with pytest.raises(ConnectionResetError):
                await read_to_a_clean_end(wire, begun)
            assert case.seen.startswith(begun)
        elif case.closes:
            assert await wire.rest() == b""
        else:
            await wire.send(OWN)
            assert (await wire.answer())[2] == b"own"
        # The next request meets nothing that was left over.
        target.answer = plain(b"next")
        again = await stand.connect()
        await again.send(GET)
        assert (await again.answer())[2] == b"next"
        assert target.connections == (1 if case.kept else 2)
