"""Inputs: half grown from the grammar with here and there a fault, half mutated from the corpus."""

from __future__ import annotations

from itertools import chain
from random import Random
from typing import Final

from tests.conformance import request_bodies, request_heads, responses, sequences

_TABLES: Final = (*request_heads.TABLES, *request_bodies.TABLES, *sequences.TABLES)
REQUESTS: Final = tuple(c.sent for c in chain(*_TABLES) if len(c.sent) < 1000)
RESPONSES: Final = tuple(c.answered for c in chain(*responses.TABLES) if len(c.answered) < 1000)

_METHODS: Final = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"CONNECT")
_TARGETS: Final = (
    *(b"/", b"/a?b=c", b"/%41;x", b"//a/", b"http://b/c", b"http://b?c", b"HTTP://[::1]:8/"),
    *(b"*", b"/a#b", b"a", b"/\xe4", b"http://u@b/"),
)
_LINES: Final = (
    *(b"A: b", b"A:", b"B:\tc\t", b"X-A: \xff", b"Expect: 100-continue", b"TE: trailers"),
    *(b"Connection: close", b"Connection: x-a, keep-alive", b"connection: upgrade, te"),
    *(b"Upgrade: websocket", b"X-Forwarded-For: 1.2.3.4", b"X-Request-Id: 7", b"Via: 1.0 a"),
    *(b"Keep-Alive: a", b"C: Content-Length: 9", b"Trailer: a", b"Cookie: a=b; c"),
)
_OFFER: Final = [b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Key: eA=="]
_ODD_LINES: Final = (
    *(b"A : b", b" A: b", b"A", b": b", b"A: b\rc", b"A: b\nc", b"A: \x00", b"Host: i"),
    *(b"Content-Length: 3", b"Content-Length: +3", b"Content-Length: 3, 3", b"Content-Length:"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip, chunked", b"Content_Length: 3"),
    *(b"Transfer-Encoding: \x0bchunked", b"Transfer-Encoding : chunked", b"Connection: host"),
)
_CRUMBS: Final = (
    *(b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b",", b";", b"=", b'"', b"\\", b"\x00", b"\xff"),
    *(b"0", b"5", b"a", b"-", b"+", b"0x", b"chunked", b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"HTTP/1.1", b"HTTP/1.0"),
    *(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"1\r\na\r\n", b"Host: h\r\n", b"\r\n\r\n"),
)
_EXTENSIONS: Final = (b"", b"", b"", b"", b";a", b";a=b", b';a="b"', b";a;b=1", b" ;a", b";")
_TRAILERS: Final = (b"", b"", b"A: b\r\n", b"X-Real-Ip: 1\r\n", b"X-A:\r\n", b"A : b\r\n")


def _chunks(rng: Random) -> bytes:
    parts = []
    for _ in range(rng.randrange(4)):
        data = rng.randbytes(rng.randrange(1, 20))
        size = len(data) + (rng.random() < 0.03)
        form = rng.choice((b"%x", b"%X", b"00%x"))
        end = b"\r\n" if rng.random() < 0.98 else rng.choice((b"\n", b"\r", b""))
        parts.append(form % size + rng.choice(_EXTENSIONS) + b"\r\n" + data + end)
    return b"%b0%b\r\n%b\r\n" % (b"".join(parts), rng.choice(_EXTENSIONS), rng.choice(_TRAILERS))


def _section(rng: Random, first: list[bytes]) -> tuple[bytes, bytes]:
    """Lines, and the body that they (mostly) announce."""
    lines = first + rng.choices(_LINES, k=rng.randrange(4))
    body = b""
    kind = rng.random()
    if kind < 0.35:
        body = _chunks(rng)
        lines.append(rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding:Chunked ")))
    elif kind < 0.7:
        body = rng.randbytes(rng.randrange(20))
        size = len(body) + (rng.choice((-1, 1)) if rng.random() < 0.05 and body else 0)
        lines.append(rng.choice((b"Content-Length: %d", b"content-length:0%d\t")) % size)
    if rng.random() < 0.15:
        lines.append(rng.choice(_ODD_LINES))
    rng.shuffle(lines)
    end = b"\r\n" if rng.random() < 0.97 else rng.choice((b"\n", b"\r\r\n", b"\r\n "))
    return end.join(lines) + b"\r\n\r\n", body


def _request(rng: Random) -> bytes:
    target = rng.choice(_TARGETS if rng.random() < 0.3 else _TARGETS[:7])
    version = b"1.0" if rng.random() < 0.1 else b"1.1"
    section, body = _section(rng, [b"Host: h", *(_OFFER if rng.random() < 0.1 else ())])
    return b"%b %b HTTP/%b\r\n%b%b" % (rng.choice(_METHODS), target, version, section, body)


def _response(rng: Random) -> bytes:
    status = rng.choice((b"200 OK", b"200", b"204 N", b"304 N", b"404 \xff", b"103 E", b"100 C"))
    version = b"1.0" if rng.random() < 0.1 else b"1.1"
    section, body = _section(rng, [b"Server: s"])
    return b"HTTP/%b %b\r\n%b%b" % (version, status, section, body)


def _mutated(rng: Random, wire: bytes, others: tuple[bytes, ...]) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        at = rng.randrange(len(wire) + 1)
        way = rng.randrange(5)
        if way == 0:
            wire = wire[:at] + rng.choice(_CRUMBS) + wire[at:]
        elif way == 1:
            wire = wire[:at] + wire[at + rng.randrange(1, 4) :]
        elif way == 2:
            wire = wire[:at] + bytes((rng.randrange(256),)) + wire[at + 1 :]
        elif way == 3:
            other = rng.choice(others)
            wire = wire[:at] + other[rng.randrange(len(other) + 1) :]
        else:
            wire = wire[:at] + wire[at : at + rng.randrange(1, 30)] + wire[at:]
    return wire


def requests(rng: Random) -> bytes:
    """What a client may send: one message or several, good or bad."""
    if rng.random() < 0.5:
        return b"".join(_request(rng) for _ in range(rng.choice((1, 1, 2, 3))))
    return _mutated(rng, rng.choice(REQUESTS), REQUESTS)


def answers(rng: Random) -> bytes:
    """What a target may send."""
    if rng.random() < 0.5:
        return b"".join(_response(rng) for _ in range(rng.choice((1, 1, 1, 2))))
    return _mutated(rng, rng.choice(RESPONSES), RESPONSES)
