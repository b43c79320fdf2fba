"""What is asked of others than AWS's API, over plain HTTPS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from orchestrator.aws.errors import CloudError

Fetch = Callable[[str], bytes]
_MY_ADDRESS: Final = "https://checkip.amazonaws.com"
_TIMEOUT_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The caller's own public address, and what lies at a URL that AWS gave. Raise CloudError."""

    my_address: Callable[[], str]
    fetch: Fetch


def internet() -> Outside:
    """The real ones."""
    return Outside(
        my_address=lambda: (
            _get("your public address", _MY_ADDRESS, "switch ssh off, or try again")
            .decode()
            .strip()
        ),
        fetch=lambda url: _get("download", url, ""),
    )


def _get(place: str, url: str, suggestion: str) -> bytes:
    try:
        answer = httpx.get(url, timeout=_TIMEOUT_S, follow_redirects=True).raise_for_status()
    except httpx.HTTPStatusError as error:  # its own words would show a signed URL
        raise CloudError(place, f"status {error.response.status_code}", suggestion) from error
    except httpx.HTTPError as error:
        raise CloudError(place, str(error) or type(error).__name__, suggestion) from error
    return answer.content
