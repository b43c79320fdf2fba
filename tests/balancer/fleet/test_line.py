"""The small client of checks and probes: every framing of an answer, every way of being none."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from threading import Event

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from services.balancer.address import Address
from services.balancer.fleet.line import MAX_BYTES, Answer, Line, LineError, _Connection

LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nre\r\n3\r\nady\r\n0\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nready"
LAST = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nready"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"


class Said:
    """A target that says the same thing to every request, and what it was asked."""

    def __init__(self, answer: bytes, *, end: bool) -> None:
        self.answer = answer
        self.end = end
        self.connections = 0
        self.tasks: set[asyncio.Task[None] | None] = set()
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.tasks.add(asyncio.current_task())
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                self.heads.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self.answer)
                await writer.drain()
                if self.end:
                    break
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def saying(answer: bytes, *, end: bool = False) -> AsyncIterator[tuple[Said, Line]]:
    said = Said(answer, end=end)
    server = await asyncio.start_server(said.serve, "127.0.0.1", 0)
    line = Line(Address("127.0.0.1", server.sockets[0].getsockname()[1]))
    try:
        yield said, line
    finally:
        await line.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*filter(None, said.tasks))


@pytest.mark.parametrize("answer", [LENGTH, CHUNKED, INTERIM + LENGTH, INTERIM * 2 + CHUNKED])
async def test_a_framed_answer_leaves_the_connection_for_the_next(answer: bytes) -> None:
    async with saying(answer) as (said, line):
        for _ in range(3):
            status, body, latency_s = await line.get("/readyz", 5.0)
            assert (status, body) == (200, b"ready")
            assert 0 < latency_s < 5
        assert said.connections == 1


@pytest.mark.parametrize("answer", [UNTIL_CLOSE, LENGTH, LAST])
async def test_an_answer_that_ends_its_connection(answer: bytes) -> None:
    async with saying(answer, end=True) as (said, line):
        for turn in range(1, 4):
            assert (await line.get("/readyz", 5.0))[:2] == (200, b"ready")
            assert said.connections == turn


async def test_an_answer_without_a_body() -> None:
    async with saying(b"HTTP/1.1 204 No Content\r\n\r\n") as (said, line):
        for _ in range(2):
            assert (await line.get("/readyz", 5.0))[:2] == (204, b"")
        assert said.connections == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "broken answer: closed before it"),
        (LENGTH[:-1], "broken answer: closed inside it"),
        (CHUNKED[:-2], "broken answer: closed inside it"),
        (b"HTTP/1.1 2", "broken answer: closed inside it"),
        (INTERIM, "broken answer: closed inside it"),
        (b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "another protocol"),
        (CHUNKED.replace(b"\r\n3\r\n", b"\r\nzz\r\n"), "broken answer: "),
        (LENGTH.replace(b": 5", b": five"), "broken answer: "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_BYTES, f"answered more than {MAX_BYTES} bytes"),
        (INTERIM * (MAX_BYTES // len(INTERIM) + 1), f"answered more than {MAX_BYTES} bytes"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 65_537, "answered more than 65536 bytes"),
    ],
)
async def test_no_usable_answer(answer: bytes, words: str) -> None:
    async with saying(answer, end=True) as (said, line):
        with pytest.raises(LineError, match=words):
            await line.get("/readyz", 5.0)
        assert said.connections == 1  # a new connection that fails is a failure, not stale


async def test_what_follows_an_answer_is_nobodys() -> None:
    async with saying(LENGTH + LENGTH) as (said, line):
        for turn in range(1, 3):
            assert (await line.get("/readyz", 5.0))[:2] == (200, b"ready")
            assert said.connections == turn


def test_a_loop_that_was_kept_from_running_still_hears_the_answer() -> None:
    """Else a machine that is busy for as long as a time-out calls all its targets unhealthy."""
    asked, frozen, answered = Event(), Event(), Event()

    def serve(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            asked.set()
            frozen.wait()
            connection.sendall(LENGTH)
            answered.set()
            connection.recv(4096)  # until it ends

    async def ask(port: int) -> Answer:
        line = Line(Address("127.0.0.1", port))
        begun = time.monotonic()
        answer = asyncio.create_task(line.get("/readyz", 1.0))
        await asyncio.to_thread(asked.wait)
        frozen.set()
        answered.wait()
        while time.monotonic() < begun + 1.1:  # the fault: nothing else of this loop runs
            pass
        try:
            return await answer
        finally:
            await line.close()

    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as pool:
        done = pool.submit(serve, server)
        assert uvloop.run(ask(server.getsockname()[1]))[:2] == (200, b"ready")
        done.result()


async def test_a_request_given_up_takes_its_connection_along() -> None:
    async with saying(b"") as (said, line):
        with pytest.raises(LineError, match=r"no answer within 0\.05 s"):
            await line.get("/readyz", 0.05)
        said.answer = LENGTH
        assert (await line.get("/readyz", 5.0))[:2] == (200, b"ready")
        assert said.connections == 2


async def test_the_request_is_what_a_target_expects() -> None:
    async with saying(LENGTH) as (said, line):
        await line.get("/a?b=%20c&d=\u00e9", 5.0)
        first, *fields = said.heads[0].decode().split("\r\n")
        assert first == "GET /a?b=%20c&d=%C3%A9 HTTP/1.1"
        assert fields[0].startswith("Host: 127.0.0.1:")


class _Wire(asyncio.Transport):
    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        pass

    def abort(self) -> None:
        pass


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([LENGTH, CHUNKED, INTERIM + CHUNKED]), st.lists(st.integers(0, 90)))
def test_it_does_not_matter_how_the_bytes_arrive(answer: bytes, cuts: Sequence[int]) -> None:
    async def read() -> Answer:
        connection = _Connection()
        connection.connection_made(_Wire())
        asking = asyncio.create_task(connection.ask(b""))
        await asyncio.sleep(0)
        places = sorted({0, len(answer), *(cut for cut in cuts if cut < len(answer))})
        for start, end in pairwise(places):
            connection.data_received(answer[start:end])
        return await asking

    assert asyncio.run(read())[:2] == (200, b"ready")
