"""Clients that ask again and again, at a steady pace, whatever comes back.

Two kinds, since they notice different things: `fresh` ones connect for every request, as new users
do; `kept` ones hold a pool of connections, as services do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import httpx

TIMEOUT_S: Final = 5.0
AT_ONCE: Final = 64  # requests under way; more are not sent, and counted as `skipped`


@dataclass(slots=True)
class Noticed:
    """What clients of one kind saw. `failed` by cause: a status, or the name of httpx's error."""

    kind: str
    answered: int = 0
    skipped: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    gap_s: float = 0.0  # the longest time between two answers
    _last: float | None = None

    def answer(self, status: int, now_s: float) -> None:
        """An answer was read whole; only 200 is what was asked for."""
        if status != 200:
            self.failed[str(status)] += 1
            return
        self.answered += 1
        if self._last is not None:
            self.gap_s = max(self.gap_s, now_s - self._last)
        self._last = now_s

    def fail(self, error: httpx.HTTPError) -> None:
        """No whole answer."""
        self.failed[type(error).__name__] += 1

    @property
    def sent(self) -> int:
        """Requests that came to an end."""
        return self.answered + self.failed.total()


@contextlib.asynccontextmanager
async def asking(
    base: str, paths: Sequence[str], per_second: float
) -> AsyncIterator[tuple[Noticed, Noticed]]:
    """Both kinds ask `base` + each path in turn, `per_second` requests a second each, while the
    block runs. What is under way at its end is waited for, `TIMEOUT_S` at most.
    """
    fresh, kept = Noticed("a connection each"), Noticed("kept connections")
    none = httpx.Limits(max_keepalive_connections=0)
    async with (
        httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S, limits=none) as new,
        httpx.AsyncClient(base_url=base, timeout=TIMEOUT_S) as old,
    ):
        # No TaskGroup: it would wrap the error of the block in a group of its own.
        tasks = [
            asyncio.create_task(_ask(client, paths, per_second, noticed))
            for client, noticed in ((new, fresh), (old, kept))
        ]
        try:
            yield fresh, kept
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled():
                task.result()  # raises what it ended of


async def _ask(
    client: httpx.AsyncClient, paths: Sequence[str], per_second: float, noticed: Noticed
) -> None:
    """Until cancelled. Due times are fixed beforehand: a slow answer delays no later request."""
    under_way: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    begun, number = loop.time(), 0
    try:
        while True:
            if len(under_way) < AT_ONCE:
                path = paths[number % len(paths)]
                task = loop.create_task(_one(client, path, noticed))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            else:
                noticed.skipped += 1
            number += 1
            await asyncio.sleep(max(0.0, begun + number / per_second - loop.time()))
    finally:
        if under_way:
            await asyncio.wait(under_way, timeout=TIMEOUT_S + 1.0)


async def _one(client: httpx.AsyncClient, path: str, noticed: Noticed) -> None:
    try:
        answer = await client.get(path)
    except httpx.HTTPError as error:
        noticed.fail(error)
    else:
        noticed.answer(answer.status_code, time.monotonic())
