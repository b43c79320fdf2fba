"""What a usual client hides: had the answer begun, and did bytes come that nobody asked for."""

from __future__ import annotations

import asyncio

import pytest

from loadtest.chaos.connection import Connection, Outcome, Record
from loadtest.chaos.target import SMUGGLED, answer_to

REFUSAL = b'HTTP/1.1 502 X\r\ncontent-length: 25\r\n\r\n{"error":{"code":"oops"}}'
RIGHT = answer_to("G-1", 20)


async def outcome_of(*answer: bytes) -> tuple[Record, Connection]:
    """Ask a server that says `answer`, piece by piece, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in answer:
            writer.write(piece)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Record] = loop.create_future()

    def on_end(_: Connection, record: Record) -> None:
        ended.set_result(record)

    _, connection = await loop.create_connection(
        lambda: Connection(on_end), *server.sockets[0].getsockname()
    )
    connection.ask(Record("G-1", "GET", 20, loop.time()))
    async with asyncio.timeout(10):
        record = await ended
        while connection.open:  # noqa: ASYNC110 - the server's close is no event of ours
            await asyncio.sleep(0.01)
    server.close()
    return record, connection


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ((RIGHT,), Outcome.ANSWERED),
        ((RIGHT[:30], RIGHT[30:]), Outcome.ANSWERED),
        ((answer_to("G-3", 20),), Outcome.WRONG),
        ((RIGHT[:-1],), Outcome.BEGUN),
        ((b"H",), Outcome.BEGUN),
        ((), Outcome.LOST),
        ((b"nonsense\r\n\r\n",), Outcome.WRONG),
        ((REFUSAL,), Outcome.REFUSED),
    ],
)
async def test_what_became_of_a_request(answer: tuple[bytes, ...], expected: Outcome) -> None:
    record, connection = await outcome_of(*answer)
    assert record.outcome is expected
    if expected is Outcome.REFUSED:
        assert record.detail == "502 oops"
        return
    assert connection.unasked == b""


async def test_a_second_answer_is_seen() -> None:
    record, connection = await outcome_of(RIGHT + SMUGGLED)
    assert record.outcome is Outcome.ANSWERED
    assert connection.unasked
