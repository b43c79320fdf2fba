"""Where a request's key is found, and that it leads to the same target."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from services.balancer.config import ClusterConfig, Config, PolicySpec
from services.balancer.dataplane.http1 import parse_request_fields
from services.balancer.dataplane.key import reader
from tests.balancer.dataplane.stand import configuration, data_plane
from tests.stand.target import StubTarget, plain


def read(key_from: str, lines: bytes, *, trusted: bool = False) -> bytes:
    return reader(key_from)(parse_request_fields(lines, 100), "192.0.2.7", trusted)


@pytest.mark.parametrize(
    ("key_from", "lines", "key"),
    [
        ("header:X-User", b"Host: a\r\nx-user: \t ann \r\n", b"ann"),
        ("header:X-User", b"X-User: ann\r\nHost: a\r\n", b"ann"),
        ("header:X-User", b"Host: a\r\nX-User:\r\n", b""),
        ("header:X-User", b"Host: a\r\nX-Users: ann\r\nY: X-User: bob\r\n", b""),
        ("header:Host", b"Host: a.example\r\n", b"a.example"),
        ("header:X-Request-Id", b"Host: a\r\nX-Request-Id: 7\r\n", b"7"),
        ("cookie:sid", b"Host: a\r\nCookie: sid=1\r\n", b"1"),
        ("cookie:sid", b"Host: a\r\ncookie: a=b; sid=42; c=d\r\n", b"42"),
        ("cookie:sid", b"Host: a\r\nCookie: xsid=1; SID=2\r\n", b""),
        ("cookie:sid", b"Cookie: a=1\r\nCookie: sid=2\r\nHost: a\r\n", b"2"),
        ("cookie:sid", b"Host: a\r\nX-Cookie: sid=1\r\n", b""),
        ("client", b"Host: a\r\nX-Forwarded-For: 1.1.1.1\r\n", b"192.0.2.7"),
    ],
)
def test_the_key_is_found(key_from: str, lines: bytes, key: bytes) -> None:
    assert read(key_from, lines) == key


def test_a_trusted_proxy_speaks_for_its_client() -> None:
    chain = b"Host: a\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2, 3.3.3.3\r\n"
    assert read("client", chain, trusted=True) == b"3.3.3.3"
    assert read("client", b"Host: a\r\n", trusted=True) == b"192.0.2.7"


def test_a_hostile_cookie_costs_no_more_than_its_length() -> None:
    """Two cookies of a head's size: what backtracks would take minutes (the test's time-out)."""
    rng = Random(1)
    long = b"; ".join(b"sid%d=x" % rng.randrange(10) for _ in range(3000))
    assert (
        read("cookie:sid", b"Host: a\r\nCookie: " + long + b"\r\nCookie: " + long + b"\r\n") == b""
    )


async def test_requests_with_one_key_meet_at_one_target() -> None:
    """On the wire, with a reload that moves the key from a header to a cookie."""

    def by(key: str) -> Config:
        policy = PolicySpec(name="consistent_hash", params={"key": key, "bound": 100.0})
        return replace(
            configuration(), clusters=(ClusterConfig(name="c", targets=(), policy=policy),)
        )

    async with (
        StubTarget(plain(b"one")) as one,
        StubTarget(plain(b"two")) as two,
        data_plane(one, two, config=by("header:X-User")) as stand,
    ):
        wire = await stand.connect()
        served = {
            user: {(await wire.get(extra=f"X-User: {user}\r\n"))[2] for _ in range(4)}
            for user in range(12)
        }
        assert all(len(bodies) == 1 for bodies in served.values())
        assert {body for bodies in served.values() for body in bodies} == {b"one", b"two"}
        stand.plane.configure(by("cookie:sid"))
        for sid in range(6):
            bodies = {(await wire.get(extra=f"Cookie: a=b; sid={sid}\r\n"))[2] for _ in range(4)}
            assert len(bodies) == 1
