"""The access log: what a line says of each end that a request can have, and that it delays none."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.balancer.config import AccessLog as Settings
from services.balancer.config import Config, Limits, Timeouts
from services.balancer.dataplane.access_log import AccessLog, Line, path_of, pieces
from services.balancer.ledger import ProcessCell
from tests.balancer.dataplane.stand import Stand, configuration, data_plane
from tests.balancer.dataplane.test_tunnel import SEEN, echo, switching, tunnel
from tests.stand.balancer import free_ports
from tests.stand.proc import wait_until
from tests.stand.target import Request, StubTarget, broken, held, reset

GET: Final = b"GET /c/x?secret=1 HTTP/1.1\r\nHost: h\r\n\r\n"
SMALLEST: Final = 65_536


def logging_to(path: Path, **changes: Any) -> Config:
    config = configuration(**changes)
    return Config(
        **{name: getattr(config, name) for name in ("clusters", "routes", "timeouts", "limits")},
        access_log=Settings(path=str(path)),
    )


class Log:
    """Reads what is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lines(self) -> list[dict[str, Any]]:
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    async def wait(self, count: int = 1) -> list[dict[str, Any]]:
        await wait_until(lambda: len(self.lines()) >= count, f"{count} lines")
        lines = self.lines()
        assert len(lines) == count, "one line a request"
        return lines


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "access.log")


async def test_a_line_says_when_where_how_long_and_what_came_of_it(log: Log) -> None:
    gate = asyncio.Event()
    async with (
        StubTarget(held(gate)) as target,
        data_plane(target, config=logging_to(log.path)) as stand,
    ):
        before = time.time()
        first, second = await stand.connect(), await stand.connect()
        await first.send(GET)
        await wait_until(lambda: target.count == 1, "the first at the target")
        await second.send(GET)
        await wait_until(lambda: target.count == 2, "the second at the target")
        await asyncio.sleep(0.05)  # time that the lines must show
        gate.set()
        assert (await first.answer())[0] == (await second.answer())[0] == 200
        one, two = sorted(await log.wait(2), key=lambda line: float(line["arrival"]))
        assert before - 0.01 <= one["arrival"] <= two["arrival"] <= time.time()
        assert 0.05 <= one["first_byte_s"] <= one["total_s"]
        assert 0 < one["connect_s"] < one["first_byte_s"]
        assert (one["pending"], two["pending"]) == (0, 1)
        for line in (one, two):
            assert (line["method"], line["path"], line["status"]) == ("GET", "/c/x", 200)
            assert (line["cluster"], line["target"]) == ("c", target.address)
            assert (line["attempts"], line["ended"]) == (1, "answered")
        ids = {request.get("x-request-id") for request in target.requests}
        assert ids == {one["request_id"], two["request_id"]}


async def test_a_pooled_connection_took_no_time_to_connect(log: Log) -> None:
    async with StubTarget() as target, data_plane(target, config=logging_to(log.path)) as stand:
        wire = await stand.connect()
        for _ in range(2):
            assert (await wire.get())[0] == 200
        assert (await log.wait(2))[1]["connect_s"] == 0


async def test_retries_are_counted_and_the_last_target_is_named(log: Log) -> None:
    async with (
        StubTarget(broken) as bad,
        StubTarget() as good,
        data_plane(bad, good, config=logging_to(log.path)) as stand,
    ):
        wire = await stand.connect()
        assert [(await wire.get())[0] for _ in range(2)] == [200, 200]
        lines = await log.wait(2)
        assert {line["attempts"] for line in lines} == {2}  # in turn: the bad one first, each time
        assert {line["target"] for line in lines} == {good.address}


async def _own(stand: Stand) -> None:
    assert (await (await stand.connect()).get("/"))[0] == 200


async def _no_route(stand: Stand) -> None:
    assert (await (await stand.connect()).get("/none"))[0] == 404


async def _malformed(stand: Stand) -> None:
    wire = await stand.connect()
    await wire.send(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n")
    assert (await wire.answer())[0] == 400


async def _nobody(stand: Stand) -> None:
    assert (await (await stand.connect()).get())[0] == 502


async def _bad_chunk(stand: Stand) -> None:
    wire = await stand.connect()
    await wire.send(b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n")
    assert (await wire.answer())[0] == 400


ENDS: Final = {
    "own": (_own, 200, None, 0),
    "no route": (_no_route, 404, None, 0),
    "malformed": (_malformed, 400, None, 0),
    "bad chunk": (_bad_chunk, 400, None, 0),
    "nobody to connect to": (_nobody, 502, "c", 3),
}


@pytest.mark.parametrize("name", ENDS)
async def test_what_the_balancer_answers_itself_has_a_line_too(log: Log, name: str) -> None:
    does, status, cluster, attempts = ENDS[name]
    async with data_plane(*free_ports(1), config=logging_to(log.path)) as stand:
        await does(stand)
        (line,) = await log.wait()
        assert (line["status"], line["ended"], line["first_byte_s"]) == (status, "own", None)
        assert (line["cluster"], line["attempts"]) == (cluster, attempts)


async def _begins(request: Request) -> None:
    await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegun")
    await asyncio.Event().wait()


async def test_an_answer_that_breaks_off_is_cut(log: Log) -> None:
    async with StubTarget(_begins) as target, data_plane(target, config=logging_to(log.path)) as s:
        wire = await s.connect()
        await wire.send(GET)
        await wire.until(b"begun")
        await target.die()
        (line,) = await log.wait()
        assert (line["status"], line["ended"]) == (200, "cut")


async def test_a_client_that_goes_first_has_left(log: Log) -> None:
    async with (
        StubTarget(held(asyncio.Event())) as target,
        data_plane(target, config=logging_to(log.path)) as stand,
    ):
        wire = await stand.connect()
        await wire.send(GET)
        await wait_until(lambda: target.count == 1, "the request at the target")
        reset(wire.writer)
        (line,) = await log.wait()
        assert (line["status"], line["ended"], line["first_byte_s"]) == (None, "left", None)


async def test_a_tunnels_line_is_written_when_it_ends(log: Log) -> None:
    async with (
        StubTarget(switching(echo)) as target,
        data_plane(target, config=logging_to(log.path)) as stand,
    ):
        wire = await tunnel(stand)
        await wire.send(SEEN)
        await wire.exactly(len(SEEN))
        assert log.lines() == []
        wire.writer.close()
        (line,) = await log.wait()
        assert (line["status"], line["ended"]) == (101, "tunnel")
        assert line["first_byte_s"] <= line["total_s"]


async def test_a_slow_client_is_told_and_logged_once(log: Log) -> None:
    config = logging_to(log.path, timeouts=Timeouts(body_idle_s=0.1), limits=Limits())
    async with StubTarget(held(asyncio.Event())) as target, data_plane(target, config=config) as s:
        wire = await s.connect()
        await wire.send(b"PUT /c HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc")
        assert (await wire.answer())[0] == 408
        await wire.rest()
        (line,) = await log.wait()
        assert (line["status"], line["ended"], line["attempts"]) == (408, "own", 1)


async def test_a_reload_opens_the_file_anew_and_nothing_is_lost(log: Log) -> None:
    async with StubTarget() as target, data_plane(target, config=logging_to(log.path)) as stand:
        wire = await stand.connect()
        await wire.get()
        await log.wait()
        moved = log.path.with_suffix(".1")
        log.path.rename(moved)
        await wire.get()
        await wait_until(lambda: len(Log(moved).lines()) == 2, "the old file goes on")
        stand.plane.configure(logging_to(log.path))
        await wire.get()
        await log.wait()
        assert len(Log(moved).lines()) == 2


async def test_it_is_switched_on_and_off_by_a_reload(log: Log) -> None:
    async with StubTarget() as target, data_plane(target) as stand:
        wire = await stand.connect()
        for config, lines in (
            (configuration(), 0),
            (logging_to(log.path), 1),
            (configuration(), 1),
            (logging_to(log.path), 2),
        ):
            stand.plane.configure(config)
            assert (await wire.get())[0] == 200
            await log.wait(lines)
        stand.plane.publish()
        assert stand.plane.counters.cells[ProcessCell.ACCESS_LINES] == 2


# -- the writer ------------------------------------------------------------------------------------


def line(number: int) -> Line:
    return Line(0.0, str(number), "GET", "/", "c", "t", 1, 0, 0.0, 0.001, 0.002, 200, "answered")


def numbers(text: bytes) -> list[int]:
    return [int(json.loads(line)["request_id"]) for line in text.splitlines()]


@contextlib.contextmanager
def running(path: str) -> Iterator[AccessLog]:
    """A log on the test's loop."""
    loop = asyncio.get_running_loop()
    cells = memoryview(bytearray(8 * len(ProcessCell))).cast("q")
    settings = Settings(path=path, buffer_bytes=SMALLEST)
    log = AccessLog(settings, loop=loop, clock=time.monotonic, cells=cells)
    try:
        yield log
    finally:
        log.close()


async def test_a_reader_that_does_not_read_costs_lines_and_never_time(tmp_path: Path) -> None:
    """A named pipe that is full stands for a disk or a pipe that hangs."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with running(str(pipe)) as log:
            for number in range(20_000):  # would it wait, it would for ever
                log.add(line(number))
                if number % 100 == 0:
                    log.flush()
            assert 0 < log.dropped < 20_000
            assert log._taken_bytes - log._done_bytes <= SMALLEST
            read = b""

            def drained() -> bool:
                nonlocal read
                with contextlib.suppress(BlockingIOError):
                    read += os.read(end, 1 << 20)
                return read.count(b"\n") == log.lines

            log.flush()
            await wait_until(drained, "what was taken, in the pipe")
            assert log.lines + log.dropped == 20_000
            taken = numbers(read)
            assert taken == sorted(taken)
            assert taken[0] == 0
            log.add(line(0))  # there is room again
            log.flush()
            assert log.lines + log.dropped == 20_001
    finally:
        os.close(end)


async def test_what_cannot_be_opened_is_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "none" / "access.log"
    with running(str(path)) as log:
        log.add(line(1))
        log.flush()
        await wait_until(lambda: log.dropped == 1, "the line counted as lost")
        assert "cannot be opened" in caplog.text
        path.parent.mkdir()
        log.reopen()
        log.add(line(2))
        log.flush()
        await wait_until(
            lambda: path.exists() and numbers(path.read_bytes()) == [2], "the next line"
        )


async def test_a_full_disk_costs_lines_alone() -> None:
    with running("/dev/full") as log:
        log.add(line(1))
        log.flush()
        await wait_until(lambda: log.dropped == 1, "the line counted as lost")


async def test_the_last_lines_are_written_when_it_closes(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    with running(str(path)) as log:
        log.add(line(1))
    assert numbers(path.read_bytes()) == [1]


@given(st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"") + b"\n")), st.data())
def test_pieces_are_whole_lines_and_all_of_them(lines: list[bytes], data: st.DataObject) -> None:
    most = data.draw(st.integers(1, 40))
    got = list(pieces(b"".join(lines), most))
    assert b"".join(got) == b"".join(lines)
    assert all(piece.endswith(b"\n") for piece in got)
    assert all(len(piece) <= most or piece.count(b"\n") == 1 for piece in got)


@given(st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1))
def test_any_path_is_json(path: str) -> None:
    told = path_of(b"GET /" + path.encode() + b" HTTP/1.1\r\n", b"GET")
    assert json.loads(msgspec.json.encode(told)) == ("/" + path).partition("?")[0]
