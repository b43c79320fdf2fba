"""What is asked of every proxy: frozen data, the same for all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PREFIX: Final = "/cluster1"  # every proxy forwards this prefix to the four targets

SMALL_BODY: Final = (
    b'{"instance": "i-0123456789abcdef0", "cluster": "cluster1", "ip": "10.0.0.1"}\n'
)
KIB: Final = 1024

# What Chromium sends for a page's own request, by name and length; a proxy has to look at each.
BROWSER_HEADERS: Final[tuple[tuple[str, str], ...]] = (
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
        "Chrome/130.0.0.0 Safari/537.36",
    ),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"),
    ("Accept-Language", "en-GB,en;q=0.9,de;q=0.8"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Cache-Control", "max-age=0"),
    ("Cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1"),
    ("Referer", "http://shop.example/catalogue?page=3"),
    ("Sec-Ch-Ua", '"Chromium";v="130", "Not?A_Brand";v="99"'),
    ("Sec-Ch-Ua-Mobile", "?0"),
    ("Sec-Ch-Ua-Platform", '"Linux"'),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Upgrade-Insecure-Requests", "1"),
)  # with Host: fifteen


@dataclass(frozen=True, slots=True)
class Scenario:
    """One shape of traffic. Sizes are bytes of the response body."""

    name: str
    title: str
    path: str = PREFIX
    body_bytes: int = len(SMALL_BODY)
    connections: int = 64
    headers: tuple[tuple[str, str], ...] = ()
    unique: bool = False  # every request has a path and a header value of its own
    new_connection: bool = False  # every request on a fresh client connection


SMALL: Final = Scenario("small", "small GET, 64 connections")
SCENARIOS: Final[tuple[Scenario, ...]] = (
    SMALL,
    Scenario("browser", "small GET, 15 request headers", headers=BROWSER_HEADERS),
    Scenario(
        "unique",
        "15 request headers, each request different",
        headers=BROWSER_HEADERS,
        unique=True,
    ),
    Scenario("16k", "16 KiB response", path=f"{PREFIX}/16k", body_bytes=16 * KIB),
    Scenario("1m", "1 MiB response", path=f"{PREFIX}/1m", body_bytes=1024 * KIB),
    Scenario("1000", "small GET, 1,000 connections", connections=1000),
    Scenario("fresh", "new connection per request", new_connection=True),
)


def named(names: list[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, in the order of the list above. Raises KeyError(name)."""
    known = {scenario.name: scenario for scenario in SCENARIOS}
    for name in names:
        if name not in known:
            raise KeyError(name)
    return tuple(scenario for scenario in SCENARIOS if scenario.name in names)
