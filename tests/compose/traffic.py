"""A bounded stream of requests through the balancer, and an account of every answer."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

CLIENTS = 8
PAUSE_S = 0.02  # between two requests of a client, so that two CPUs do more than this
REQUEST_TIMEOUT_S = 20
# h11's words for a body that ends early: that answer had begun, no balancer can repeat it.
CUT_SHORT = ("peer closed connection without sending complete message body",)


@dataclass(slots=True)
class Account:
    """Every request's end: answered 200 (GETs: by whom), cut short in its body, or failed (how)."""

    answered: int = 0
    instances: Counter[str] = field(default_factory=Counter)
    cut: int = 0
    failed: list[str] = field(default_factory=list)


async def get(client: httpx.AsyncClient, path: str, account: Account) -> None:
    """Send one GET and enter its end into `account`."""
    answer = await _end(client, "GET", path, account)
    if answer is not None:
        account.instances[answer.json()["instance_id"]] += 1


async def post(client: httpx.AsyncClient, path: str, account: Account) -> None:
    """Send one POST, which no balancer may repeat once it was sent."""
    await _end(client, "POST", path, account)


async def _end(
    client: httpx.AsyncClient, method: str, path: str, account: Account
) -> httpx.Response | None:
    """Send a request and account for its end; the answer if it was a 200."""
    body = {"num": 100} if method == "POST" else None
    try:
        answer = await client.request(method, path, json=body)
    except httpx.HTTPError as error:
        if str(error).startswith(CUT_SHORT):
            account.cut += 1
        else:
            account.failed.append(f"{method} {path}: {error!r}")
        return None
    if answer.status_code != 200:
        account.failed.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
        return None
    account.answered += 1
    return answer


@asynccontextmanager
async def traffic(url: str, *paths: str, posts: bool = False) -> AsyncIterator[Account]:
    """Keep GETs of `paths` flowing inside the block; afterwards the account is complete.

    With `posts`, as many POSTs to `<path>/seed` too: unlike a GET, such a request is lost for good
    where a worker leaves without notice.
    """
    account, over = Account(), asyncio.Event()

    async def stream(client: httpx.AsyncClient) -> None:
        while not over.is_set():
            for path in paths:
                await get(client, path, account)
                if posts:
                    await post(client, f"{path}/seed", account)
            await asyncio.sleep(PAUSE_S)  # the pace of the load, no wait for an effect

    async with (
        httpx.AsyncClient(base_url=url, timeout=REQUEST_TIMEOUT_S) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(CLIENTS):
            group.create_task(stream(client))
        try:
            yield account
        finally:
            over.set()


async def wait_until(condition: Callable[[], bool], what: str, *, deadline_s: float = 60) -> None:
    """Return once `condition()` holds; fail with `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.1)
