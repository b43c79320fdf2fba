"""What the life of a deployment is told as: clients' view, tables, marks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from loadtest.lifecycle.clients import Noticed, asking
from loadtest.lifecycle.report import BEGIN, END, markdown, missed, update_docs
from loadtest.lifecycle.story import Step, StepFailed
from tests.stand.target import Request, StubTarget


def test_the_gap_is_between_answers_only() -> None:
    noticed = Noticed("kept connections")
    for now_s, status in ((1.0, 200), (1.5, 200), (2.0, 503), (4.0, 200), (4.25, 200)):
        noticed.answer(status, now_s)
    noticed.fail(httpx.ConnectError("refused"))
    assert (noticed.answered, noticed.sent) == (4, 6)
    assert noticed.failed == {"503": 1, "ConnectError": 1}
    assert noticed.gap_s == 2.5


def test_marks_that_are_not_kept_are_told() -> None:
    steps = [Step("plan", 4.9, 5.0), Step("up", 200.0, 180.0), Step("push", 999.0)]
    assert missed(steps) == ["up: 200.0 s, at most 180 s were wanted"]


def test_the_page_keeps_what_is_around(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    step = Step("the balancer is replaced", 12.0, noticed=(Noticed("fresh", 7, 1),))
    update_docs(markdown([step], 4, "2 cores"), page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "| the balancer is replaced, fresh | 7 | 0; 1 not sent | 0 ms |" in text
    page.write_text("no markers")
    with pytest.raises(ValueError, match="markers"):
        update_docs("", page)


async def test_kept_clients_keep_their_connections_and_fresh_ones_do_not() -> None:
    connections: dict[str, set[int]] = {"/one": set(), "/two": set()}
    enough = asyncio.Event()

    async def answer(request: Request) -> None:
        connections[request.path].add(request.connection)
        await request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        if sum(map(len, connections.values())) >= 20:
            enough.set()

    async with StubTarget(answer=answer) as target:
        base = f"http://127.0.0.1:{target.port}"
        async with asking(base, ["/one", "/two"], per_second=50.0) as (fresh, kept):
            async with asyncio.timeout(20):
                await enough.wait()
    assert fresh.failed == kept.failed == {}
    assert fresh.answered >= 10
    made = len(connections["/one"] | connections["/two"])
    assert fresh.answered <= made < fresh.answered + kept.answered


async def test_what_goes_wrong_meanwhile_is_told_as_it_is() -> None:
    async with StubTarget() as target:
        with pytest.raises(StepFailed, match="roll"):
            async with asking(f"http://127.0.0.1:{target.port}", ["/"], per_second=50.0):
                raise StepFailed("roll ended with 1")
