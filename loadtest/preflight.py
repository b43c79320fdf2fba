"""Is there anybody at all? One request to each cluster before k6 is started."""

from __future__ import annotations

import httpx

from loadtest.plan import Plan

PREFLIGHT_TIMEOUT_S = 3.0


class TargetUnreachable(ConnectionError):  # noqa: N818 - says what happened
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
            except httpx.TimeoutException as error:
                raise TargetUnreachable(
                    f"{url} does not answer within {PREFLIGHT_TIMEOUT_S:g} s"
                ) from error
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                why = str(error) or type(error).__name__
                raise TargetUnreachable(f"{url} cannot be reached: {why}") from error
    return tuple(notes)
