"""Is there anybody at all? One request to each cluster before k6 is started."""

from __future__ import annotations

from typing import Final

import httpx

from loadtest.plan import Plan

PREFLIGHT_TIMEOUT_S: Final = 3.0
ENOUGH_BYTES: Final = 1 << 16


class TargetUnreachable(ConnectionError):
    """Nothing answers at the target; the message is one line for the user."""


async def preflight(plan: Plan) -> tuple[str, ...]:
    """Notes for the reader of the result: paths that do not answer 200.

    Raises TargetUnreachable where nothing answers at all.
    """
    notes: list[str] = []
    async with httpx.AsyncClient(timeout=PREFLIGHT_TIMEOUT_S, trust_env=False) as client:
        for cluster in plan.clusters:
            url = plan.url(cluster)
            try:
                async with client.stream("GET", url) as response:
                    if response.status_code != httpx.codes.OK:
                        notes.append(f"before the run, {url} answered {response.status_code}")
                    await _read_some(response)
            except httpx.TimeoutException as error:
                raise TargetUnreachable(
                    f"{url} does not answer within {PREFLIGHT_TIMEOUT_S:g} s"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                why = str(error) or type(error).__name__
                raise TargetUnreachable(f"{url} cannot be reached: {why}") from error
    return tuple(notes)


async def _read_some(response: httpx.Response) -> None:
    """A body that is small is read to its end, so that nobody sees a client leave in the middle."""
    size = 0
    async for piece in response.aiter_raw():
        size += len(piece)
        if size > ENOUGH_BYTES:
            return
