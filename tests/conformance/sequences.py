"""Several messages on a connection, HTTP/1.0, expectations, and halves that close."""

from __future__ import annotations

from typing import Final

from tests.conformance.cases import GET, OWN, SMUGGLED, Asked

POST: Final = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED: Final = (
    b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
)
CLOSE: Final = b"GET /c HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
BAD: Final = b"GET /c HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n"


def _old(fields: bytes, body: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" /c HTTP/1.0\r\n" + fields + b"\r\n" + body


def _new(fields: bytes, body: bytes = b"", method: bytes = b"GET") -> bytes:
    return method + b" /c HTTP/1.1\r\n" + fields + b"\r\n" + body


PIPELINED: Final = (
    Asked(
        section="9112 9.3.2",
        what="three requests in one piece",
        sent=GET * 3,
        seen=(GET,) * 3,
        statuses=(200,) * 3,
    ),
    Asked(
        section="9112 9.3.2",
        what="bodies between requests",
        sent=POST + GET + CHUNKED + GET,
        seen=(POST, GET, CHUNKED, GET),
        statuses=(200,) * 4,
    ),
    Asked(
        section="9112 9.3.2",
        what="a trailer section between requests",
        sent=CHUNKED[:-2] + b"A: b\r\n\r\n" + GET,
        seen=(CHUNKED[:-2] + b"A: b\r\n\r\n", GET),
        statuses=(200, 200),
    ),
    Asked(
        section="9112 9.3.2",
        what="own answers between a target's",
        sent=GET + OWN + POST + OWN,
        seen=(GET, POST),
        statuses=(200,) * 4,
    ),
    Asked(
        section="9112 9.3.2",
        what="an answer without a route between others",
        sent=GET + b"GET /no HTTP/1.1\r\nHost: h\r\n\r\n" + GET,
        seen=(GET, GET),
        statuses=(200, 404, 200),
    ),
    Asked(
        section="9112 2.2",
        what="empty lines between requests",
        sent=POST + b"\r\n\r\n" + GET + b"\r\n",
        seen=(POST, GET),
        statuses=(200, 200),
    ),
    Asked(
        section="9112 2.2",
        what="a bare LF after a body",
        sent=POST + b"\n" + SMUGGLED,
        seen=(POST,),
        statuses=(200, 400),
        closes=True,
    ),
    Asked(
        section="9112 6.3",
        what="a body longer than its length is no body",
        sent=POST + b"!" + SMUGGLED,
        seen=(POST, b"!" + SMUGGLED),
        statuses=(200, 200),
    ),
    Asked(
        section="9112 2.2",
        what="what comes after a bad request is never read",
        sent=GET + BAD + SMUGGLED,
        seen=(GET,),
        statuses=(200, 400),
        closes=True,
    ),
    Asked(
        section="9112 9.6",
        what="what comes after Connection: close is never read",
        sent=CLOSE + SMUGGLED,
        seen=(GET,),
        closes=True,
    ),
    Asked(
        section="9112 9.6",
        what="close among other options",
        sent=GET[:-2] + b"Connection: x-a, CLOSE\r\n\r\n" + SMUGGLED,
        seen=(GET,),
        closes=True,
    ),
    Asked(
        section="9112 9.6",
        what="close wins over keep-alive",
        sent=GET[:-2] + b"Connection: keep-alive, close\r\n\r\n" + SMUGGLED,
        seen=(GET,),
        closes=True,
    ),
    Asked(
        section="9112 9.3.2",
        what="fifty requests in one piece",
        sent=(GET + POST) * 25,
        seen=(GET, POST) * 25,
        statuses=(200,) * 50,
    ),
)

HALVES: Final = (
    Asked(
        section="9112 9.6",
        what="a client that sends no more is answered",
        sent=GET,
        seen=(GET,),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 9.6",
        what="so are all that it sent ahead",
        sent=POST + OWN + CHUNKED,
        seen=(POST, CHUNKED),
        statuses=(200,) * 3,
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="a head that stops",
        sent=GET[:-2],
        statuses=(),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="a request line that stops",
        sent=b"GET /c",
        statuses=(),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="a body that stops short of its length",
        sent=POST[:-1],
        statuses=(),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="chunks that stop before the last",
        sent=CHUNKED[:-5],
        statuses=(),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="trailers that stop",
        sent=CHUNKED[:-2] + b"A: b\r\n",
        statuses=(),
        half=True,
        closes=True,
    ),
    Asked(
        section="9112 8",
        what="a whole request, then half a one",
        sent=GET + POST[:30],
        seen=(GET,),
        statuses=(200,),
        half=True,
        closes=True,
    ),
)

OLD: Final = (
    Asked(
        section="9112 9.3",
        what="HTTP/1.0 closes",
        sent=_old(b"Host: h\r\n"),
        seen=(_new(b"Host: h\r\n"),),
        closes=True,
    ),
    Asked(
        section="9112 C.2.2",
        what="HTTP/1.0 with keep-alive stays",
        sent=_old(b"Host: h\r\nConnection: Keep-Alive\r\n"),
        seen=(_new(b"Host: h\r\n"),),
    ),
    Asked(
        section="9112 C.2.1",
        what="HTTP/1.0 without Host gets ours",
        sent=_old(b"A: b\r\n"),
        seen=(_new(b"A: b\r\nHost: 127.0.0.1:8000\r\n"),),
        closes=True,
    ),
    Asked(
        section="9112 C.2.2",
        what="HTTP/1.0 pipelined without keep-alive: one answer",
        sent=_old(b"Host: h\r\n") + SMUGGLED,
        seen=(_new(b"Host: h\r\n"),),
        closes=True,
    ),
    Asked(
        section="9112 6.2",
        what="HTTP/1.0 with a length",
        sent=_old(b"Host: h\r\nContent-Length: 2\r\n", b"hi", b"POST"),
        seen=(_new(b"Host: h\r\nContent-Length: 2\r\n", b"hi", b"POST"),),
        closes=True,
    ),
    Asked(
        section="9110 10.1.1",
        what="HTTP/1.0 expects nothing",
        sent=_old(b"Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", b"hi", b"POST"),
        seen=(_new(b"Host: h\r\nContent-Length: 2\r\n", b"hi", b"POST"),),
        closes=True,
    ),
    Asked(
        section="9110 10.1.1",
        what="HTTP/1.1 expects: it goes on",
        sent=_new(b"Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", b"hi", b"POST"),
        seen=(_new(b"Host: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n", b"hi", b"POST"),),
    ),
    Asked(
        section="9112 3.2.2",
        what="HTTP/1.0 in absolute form",
        sent=b"GET http://y/c HTTP/1.0\r\n\r\n",
        seen=(_new(b"Host: y\r\n"),),
        closes=True,
    ),
    Asked(
        section="9112 9.3",
        what="HTTP/1.1 with keep-alive",
        sent=_new(b"Host: h\r\nConnection: keep-alive\r\n"),
        seen=(_new(b"Host: h\r\n"),),
    ),
)

TABLES: Final[tuple[tuple[Asked, ...], ...]] = (PIPELINED, HALVES, OLD)
