"""The client keeps to the schedule, counts every failure, and puts the machines right again."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.live.ask import Asker, answered
from tests.stand.target import Answer, Request, StubTarget, broken, held, plain, raw

WHOLE = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-length: 5\r\n\r\nhello"


@given(st.integers(0, len(WHOLE)))
def test_an_answer_is_whole_when_its_last_byte_is_there(cut: int) -> None:
    assert answered(WHOLE[:cut]) == (200 if cut == len(WHOLE) else None)


@given(st.binary(max_size=60))
def test_any_bytes_are_an_answer_or_none(data: bytes) -> None:
    assert answered(data + b"\r\n\r\n") in {0, None}


@pytest.mark.parametrize("head", [b"HTTP/1.1", b"HTTP/1.1 2x0 OK", b"HTTP/1.1 200 OK\r\nA: b"])
def test_what_has_no_length_or_status_is_no_answer(head: bytes) -> None:
    assert answered(head + b"\r\n\r\nhello") == 0


async def run(balancer: Answer, worker: StubTarget, count: int, **what: Any) -> Asker:
    """`count` requests, one a millisecond, at a stub in the balancer's place."""
    async with StubTarget(answer=balancer) as stub:
        order = {
            "port": stub.port,
            "workers": [worker.port],
            "patience_s": 5.0,
            "warmup_s": 0.0,
        } | what
        requests = [(number / 1000, 20.0) for number in range(count)]

        def go() -> Asker:
            asker = Asker(order, time.perf_counter())
            try:
                asker.run(requests, [(0.0, 0, 0.3, 0.0)])
            finally:
                asker.close()
            return asker

        return await asyncio.to_thread(go)


async def test_every_request_is_sent_and_the_machine_is_told_and_put_right() -> None:
    bodies: list[bytes] = []
    asked: list[str] = []

    async def note(request: Request) -> None:
        bodies.append(b"".join([piece async for piece in request.body()]))
        await plain()(request)

    async def answer(request: Request) -> None:
        asked.append(request.path)
        await plain()(request)

    async with StubTarget(answer=note) as worker:
        asker = await run(answer, worker, 50, warmup_s=0.010)
    assert asked == ["/cluster1?work_ms=20.0000"] * 50
    assert len(asker.latencies_s) == 40, "the warm-up is not measured"
    assert not asker.failures
    assert bodies == [b'{"speed": 0.3, "fail": 0.0}', b'{"speed": 1.0, "fail": 0.0}']


async def test_failures_count_as_the_patience_and_are_named() -> None:
    turns = iter(range(100))

    async def answer(request: Request) -> None:
        turn = next(turns)
        if turn == 3:
            await broken(request)
        elif turn == 5:
            await raw(b"no answer\r\n\r\n")(request)
        else:
            await plain(status="503 Away" if turn == 7 else "200 OK")(request)

    async with StubTarget() as worker:
        asker = await run(answer, worker, 20)
    assert asker.failures == {"no answer": 2, "status 503": 1}
    assert sorted(asker.latencies_s)[-3:] == [5.0, 5.0, 5.0]
    assert sorted(asker.latencies_s)[-4] < 5.0


async def test_a_request_without_an_answer_is_given_up() -> None:
    never = asyncio.Event()
    async with StubTarget() as worker:
        asker = await run(held(never), worker, 5, patience_s=0.1)
    assert asker.latencies_s == [0.1] * 5
    assert asker.failures == {"no answer": 5}
    assert asker.pending == 0
