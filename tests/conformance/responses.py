"""What a target answers: handed on to the byte, turned into 502, or cut where it breaks."""

from __future__ import annotations

from typing import Final

from tests.conformance.cases import GET, Answered

HEAD: Final = b"HEAD /c HTTP/1.1\r\nHost: h\r\n\r\n"
OLD: Final = b"GET /c HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n"
OK: Final = b"HTTP/1.1 200 OK\r\n"
EMPTY: Final = b"Content-Length: 0\r\n"
EVIL: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
CLOSE: Final = b"Connection: close\r\n"
REPORT: Final = b"Endpoint-Load-Metrics: TEXT named_metrics.pending=1\r\n"  # ours, to be kept
HINTS: Final = b"HTTP/1.1 103 Early Hints\r\n"
# A request that is not repeated: what a target answers to it is all there is.
POST: Final = b"POST /c HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"


def _same(section: str, what: str, answered: bytes, asked: bytes = GET) -> Answered:
    return Answered(section=section, what=what, answered=answered, seen=answered, asked=asked)


def _as(section: str, what: str, answered: bytes, seen: bytes) -> Answered:
    return Answered(section=section, what=what, answered=answered, seen=seen)


def _bad(section: str, what: str, answered: bytes, *, ends: bool = False) -> Answered:
    return Answered(
        section=section,
        what=what,
        answered=answered,
        seen=b"HTTP/1.1 502 ",
        asked=POST,
        ends=ends,
        kept=False,
    )


HEADS: Final = (
    _same("9112 4", "a reason", b"HTTP/1.1 200 Fine by me\r\n" + EMPTY + b"\r\n"),
    _same("9112 4", "an empty reason", b"HTTP/1.1 200 \r\n" + EMPTY + b"\r\n"),
    _same("9112 4", "no reason, and no space", b"HTTP/1.1 200\r\n" + EMPTY + b"\r\n"),
    _same("9112 4", "obs-text in a reason", b"HTTP/1.1 200 \xe4\xff\r\n" + EMPTY + b"\r\n"),
    _same("9110 15", "an unknown status", b"HTTP/1.1 299 Odd\r\n" + EMPTY + b"\r\n"),
    _same("9110 15", "the highest status", b"HTTP/1.1 599 End\r\n" + EMPTY + b"\r\n"),
    _same(
        "9110 5.3",
        "several Set-Cookie, in their order",
        OK + b"Set-Cookie: a\r\n" + EMPTY + b"Set-Cookie: b\r\n\r\n",
    ),
    _same("9110 5.5", "obs-text in a value", OK + b"A: \xff\r\n" + EMPTY + b"\r\n"),
    _same("9110 6.6.2", "Trailer", OK + b"Trailer: a\r\n" + EMPTY + b"\r\n"),
    *(
        _as("9110 7.6.1", what, OK + fields + EMPTY + b"\r\n", OK + kept + EMPTY + b"\r\n")
        for what, fields, kept in (
            ("Connection", b"Connection: keep-alive\r\n", b""),
            ("Keep-Alive", b"Keep-Alive: timeout=5\r\nA: b\r\n", b"A: b\r\n"),
            (
                "a field that Connection names",
                b"Connection: x-a\r\nX-A: 1\r\nX-B: 2\r\n",
                b"X-B: 2\r\n",
            ),
            ("Proxy-Connection", b"Proxy-Connection: keep-alive\r\n", b""),
            ("Proxy-Authenticate", b"Proxy-Authenticate: Basic\r\n", b""),
            ("Upgrade", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b""),
        )
    ),
    _as(
        "9112 2.3",
        "HTTP/1.0 becomes ours",
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + EMPTY + b"\r\n",
        OK + EMPTY + b"\r\n",
    ),
    *(
        _as("9110 7.6.1", f"a load report {what}", OK + fields + b"\r\n", OK + EMPTY + b"\r\n")
        for what, fields in (
            ("first", REPORT + EMPTY),
            ("last", EMPTY + REPORT),
            ("twice", REPORT + EMPTY + REPORT),
            ("without a word", b"endpoint-load-metrics:\r\n" + EMPTY),
        )
    ),
    _same("9110 5.1", "a field that is nearly a report", OK + b"X-" + REPORT + EMPTY + b"\r\n"),
    *(
        _bad(section, what, answered)
        for section, what, answered in (
            (
                "9112 5.1",
                "space before a report's colon",
                OK + b"Endpoint-Load-Metrics : a\r\n\r\n",
            ),
            (
                "9112 2.2",
                "a report with a bare LF",
                OK + REPORT[:-2] + b"\nA: b\r\n" + EMPTY + b"\r\n",
            ),
            (
                "9112 2.2",
                "a report with a bare CR",
                OK + REPORT[:-2] + b"\rA: b\r\n" + EMPTY + b"\r\n",
            ),
            ("9112 5.2", "a report that is folded", OK + REPORT + b" b\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "no HTTP", b"hello\r\n\r\n"),
            ("9112 4", "a body alone (HTTP/0.9)", b"<html>\r\n\r\n</html>"),
            ("9112 4", "HTTP/2.0", b"HTTP/2.0 200 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "HTTP/1.2", b"HTTP/1.2 200 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "small letters", b"http/1.1 200 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "two digits of status", b"HTTP/1.1 20 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "four digits of status", b"HTTP/1.1 2000 OK\r\n" + EMPTY + b"\r\n"),
            ("9110 15", "status 600", b"HTTP/1.1 600 OK\r\n" + EMPTY + b"\r\n"),
            ("9110 15", "status 099", b"HTTP/1.1 099 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "two spaces", b"HTTP/1.1  200 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "a tab for a space", b"HTTP/1.1\t200 OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "no space before the reason", b"HTTP/1.1 200OK\r\n" + EMPTY + b"\r\n"),
            ("9112 4", "NUL in the reason", b"HTTP/1.1 200 O\x00K\r\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "bare CR in the reason", b"HTTP/1.1 200 OK\rA: b\r\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "status line ends in LF", b"HTTP/1.1 200 OK\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "an empty line first", b"\r\n" + OK + EMPTY + b"\r\n"),
            ("9112 5.2", "obs-fold", OK + b"A: b\r\n c\r\n" + EMPTY + b"\r\n"),
            ("9112 5.1", "space before the colon", OK + b"A : b\r\n" + EMPTY + b"\r\n"),
            ("9112 5.1", "no colon", OK + b"A\r\n" + EMPTY + b"\r\n"),
            ("9110 5.5", "NUL in a value", OK + b"A: \x00\r\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "bare CR in a value", OK + b"A: b\rSet-Cookie: c\r\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "bare LF in a value", OK + b"A: b\nSet-Cookie: c\r\n" + EMPTY + b"\r\n"),
            ("9112 2.2", "two bare LFs", OK + EMPTY + b"A: b\n\n" + EVIL),
            ("9110 5.4", "too many fields", OK + b"A: b\r\n" * 200 + EMPTY + b"\r\n"),
            ("9110 5.4", "a head without end", OK + b"A: " + b"b" * 80_000),
            (
                "9110 7.6.1",
                "Connection names Content-Length",
                OK + b"Connection: content-length\r\n" + EMPTY + b"\r\n",
            ),
            (
                "9110 15.2.2",
                "a switch that nobody asked for",
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            ),
        )
    ),
    _bad("9112 8", "nothing, and the end", b"", ends=True),
    _bad("9112 8", "half a head, and the end", OK + b"Content-Le", ends=True),
)

FRAMING: Final = (
    _same("9112 6.3", "a length", OK + b"Content-Length: 5\r\n\r\nhello"),
    _same("9112 6.3", "zeros before a length", OK + b"Content-Length: 005\r\n\r\nhello"),
    _same("9112 6.3", "a body like a response", OK + b"Content-Length: 42\r\n\r\n" + EVIL),
    _same("9112 7.1", "chunks", OK + CHUNKED + b"\r\n5\r\nhello\r\n0\r\n\r\n"),
    _same("9112 7.1", "no chunk but the last", OK + CHUNKED + b"\r\n0\r\n\r\n"),
    _same("9112 7.1.1", "extensions", OK + CHUNKED + b'\r\n5;a="b"\r\nhello\r\n0;c\r\n\r\n'),
    _same("9112 7.1.2", "trailers", OK + CHUNKED + b"\r\n0\r\nDigest: x\r\nA:\r\n\r\n"),
    _as(
        "9110 6.5.1",
        "trailers that are this hop's own",
        OK + CHUNKED + b"\r\n0\r\nKeep-Alive: x\r\nA: b\r\nendpoint-load-metrics: c\r\n\r\n",
        OK + CHUNKED + b"\r\n0\r\nA: b\r\n\r\n",
    ),
    _as(
        "9110 7.6.1",
        "a trailer that Connection names",
        OK + CHUNKED + b"Connection: x-a\r\n\r\n0\r\nX-A: b\r\n\r\n",
        OK + CHUNKED + b"\r\n0\r\n\r\n",
    ),
    _same("9112 6.3", "204", b"HTTP/1.1 204 No Content\r\nA: b\r\n\r\n"),
    _same(
        "9112 6.3",
        "304 with the length it would have",
        b"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n",
    ),
    _as(
        "9112 6.3",
        "304 with the coding it would have",
        b"HTTP/1.1 304 N\r\n" + CHUNKED + b"\r\n",
        b"HTTP/1.1 304 N\r\n\r\n",
    ),
    _same("9110 9.3.2", "HEAD with a length", OK + b"Content-Length: 9\r\n\r\n", HEAD),
    Answered(
        section="9110 9.3.2",
        what="HEAD with a coding",
        asked=HEAD,
        answered=OK + CHUNKED + b"\r\n",
        seen=OK + b"\r\n",
    ),
    _same("9110 9.3.2", "HEAD with neither", OK + b"\r\n", HEAD),
    _same("9110 15.3.6", "205 with a length of 0", b"HTTP/1.1 205 R\r\n" + EMPTY + b"\r\n"),
    _same("9110 15.2", "100, unasked", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + EMPTY + b"\r\n"),
    _same(
        "9110 15.2",
        "103 with fields",
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + EMPTY + b"\r\n",
    ),
    _same("9110 15.2", "three of them", b"HTTP/1.1 102 P\r\n\r\n" * 3 + OK + EMPTY + b"\r\n"),
    _same("9110 15.2", "16 of them", (HINTS + b"\r\n") * 16 + OK + EMPTY + b"\r\n"),
    *(
        _as("9110 15.2", what, sent + b"\r\n" + OK + EMPTY + b"\r\n", seen + OK + EMPTY + b"\r\n")
        for what, sent, seen in (
            (
                "a 1xx with this hop's own fields",
                HINTS + b"Keep-Alive: a\r\n" + REPORT,
                HINTS + b"\r\n",
            ),
            ("a 1xx whose Connection closes nothing", HINTS + CLOSE, HINTS + b"\r\n"),
            ("a 1xx of HTTP/1.0 becomes ours", b"HTTP/1.0 103 E\r\n", b"HTTP/1.1 103 E\r\n\r\n"),
        )
    ),
    Answered(
        section="9110 15.2",
        what="a 1xx after the answer is none of it",
        answered=OK + EMPTY + b"\r\n" + HINTS + b"\r\n",
        seen=OK + EMPTY + b"\r\n",
        kept=False,
    ),
    *(
        Answered(
            section="9110 15.2",
            what=f"a 1xx, then {what}",
            asked=POST,
            answered=HINTS + b"\r\n" + answered,
            seen=(HINTS + b"\r\n") * (1 + 15 * (what == "16 more")) + b"HTTP/1.1 502 ",
            ends=ends,
            kept=False,
        )
        for what, answered, ends in (
            ("16 more", (HINTS + b"\r\n") * 16, False),
            ("nonsense", b"nonsense\r\n\r\n", False),
            ("two lengths", OK + EMPTY + EMPTY + b"\r\n", False),
            ("a switch", b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n", False),
            ("the end", b"", True),
            ("half a head, and the end", OK[:9], True),
        )
    ),
    Answered(
        section="9110 15.2",
        what="HTTP/1.0 clients know no 1xx",
        asked=OLD,
        answered=b"HTTP/1.1 103 E\r\n\r\n" + OK + EMPTY + b"\r\n",
        seen=OK + EMPTY + b"Connection: keep-alive\r\n\r\n",
    ),
    Answered(
        section="9112 7.1",
        what="HTTP/1.0 clients know no chunks",
        asked=OLD,
        answered=OK + CHUNKED + b"\r\n2;a\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n",
        seen=OK + CLOSE + b"\r\nhello",
        closes=True,
    ),
    Answered(
        section="9112 6.3",
        what="close-delimited",
        answered=OK + b"\r\nhello",
        seen=OK + CLOSE + b"\r\nhello",
        ends=True,
        closes=True,
        kept=False,
    ),
    Answered(
        section="9112 6.3",
        what="close-delimited, and empty",
        answered=OK + b"\r\n",
        seen=OK + CLOSE + b"\r\n",
        ends=True,
        closes=True,
        kept=False,
    ),
    Answered(
        section="9112 6.3",
        what="a response like a response's body is no other response",
        answered=OK + b"\r\n" + EVIL,
        seen=OK + CLOSE + b"\r\n" + EVIL,
        ends=True,
        closes=True,
        kept=False,
    ),
    Answered(
        section="9112 9.6",
        what="Connection: close is the target's own affair",
        answered=OK + CLOSE + EMPTY + b"\r\n",
        seen=OK + EMPTY + b"\r\n",
        kept=False,
    ),
    Answered(
        section="9112 9.3",
        what="HTTP/1.0 without keep-alive",
        answered=b"HTTP/1.0 200 OK\r\n" + EMPTY + b"\r\n",
        seen=OK + EMPTY + b"\r\n",
        kept=False,
    ),
    *(
        Answered(section=section, what=what, answered=answered + EVIL, seen=answered, kept=False)
        for section, what, answered in (
            ("9112 9.2", "a response more than requests", OK + EMPTY + b"\r\n"),
            ("9112 9.2", "a response after a body", OK + b"Content-Length: 2\r\n\r\nok"),
            ("9112 9.2", "a response after chunks", OK + CHUNKED + b"\r\n2\r\nok\r\n0\r\n\r\n"),
            ("9112 6.3", "a body for 204", b"HTTP/1.1 204 No Content\r\n\r\n"),
            ("9112 6.3", "a body for 304", b"HTTP/1.1 304 N\r\nContent-Length: 4\r\n\r\n"),
        )
    ),
    Answered(
        section="9110 9.3.2",
        what="a body for HEAD",
        asked=HEAD,
        kept=False,
        answered=OK + b"Content-Length: 42\r\n\r\n" + EVIL,
        seen=OK + b"Content-Length: 42\r\n\r\n",
    ),
    *(
        _bad(
            "9110 8.6",
            f"Content-Length {value!r}",
            OK + b"Content-Length: " + value + b"\r\n\r\nhello",
        )
        for value in (b"", b"+5", b"-1", b"5, 5", b"5 5", b"0x5", b"5.0", b"99999999999999999999")
    ),
    *(
        _bad(
            "9112 6.1",
            f"Transfer-Encoding {value!r}",
            OK + b"Transfer-Encoding: " + value + b"\r\n\r\n0\r\n\r\n",
        )
        for value in (b"gzip", b"gzip, chunked", b"chunked, chunked", b"identity", b"xchunked", b"")
    ),
    _bad("9112 6.3", "two lengths", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    _bad("9112 6.3", "equal lengths", OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    _bad(
        "9112 6.3", "length and coding", OK + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n0\r\n\r\n"
    ),
    _bad("9112 6.3", "coding and length", OK + CHUNKED + b"Content-Length: 5\r\n\r\n0\r\n\r\n"),
    _bad("9112 6.1", "chunked twice", OK + CHUNKED + CHUNKED + b"\r\n0\r\n\r\n"),
    _bad("9112 6.1", "chunked in HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    _bad("9110 8.6", "204 with a length", b"HTTP/1.1 204 N\r\nContent-Length: 5\r\n\r\nhello"),
    _bad("9112 6.1", "204 with a coding", b"HTTP/1.1 204 N\r\n" + CHUNKED + b"\r\n0\r\n\r\n"),
    _bad(
        "9110 8.6",
        "1xx with a length",
        b"HTTP/1.1 103 E\r\nContent-Length: 42\r\n\r\n" + EVIL + OK + EMPTY + b"\r\n",
    ),
    _bad(
        "9112 6.1",
        "1xx with a coding",
        b"HTTP/1.1 103 E\r\n" + CHUNKED + b"\r\n" + OK + EMPTY + b"\r\n",
    ),
    *(
        Answered(
            section=section,
            what=what,
            answered=OK + fields + b"\r\n" + body,
            seen=OK + fields + b"\r\n" + begun,
            ends=ends,
            cut=True,
            kept=False,
        )
        for section, what, fields, body, begun, ends in (
            ("9112 8", "a body short of its length", b"Content-Length: 9\r\n", b"he", b"he", True),
            ("9112 8", "no last chunk", CHUNKED, b"2\r\nhe\r\n", b"2\r\nhe\r\n", True),
            ("9112 8", "half a chunk", CHUNKED, b"5\r\nhe", b"5\r\nhe", True),
            ("9112 8", "no end of the trailers", CHUNKED, b"0\r\nA: b\r\n", b"0\r\nA: b\r\n", True),
        )
    ),
    *(
        _bad("9112 7.1", what, OK + CHUNKED + b"\r\n" + body)
        for what, body in (
            ("a size that is none, at once", b"xyz\r\n"),
            ("a size with a prefix, at once", b"0x5\r\nhello\r\n0\r\n\r\n"),
            ("a chunk longer than its size", b"4\r\nhello\r\n0\r\n\r\n"),
            ("a size line that ends in LF", b"5\nhello\r\n0\r\n\r\n"),
            ("a trailer that frames", b"0\r\nContent-Length: 5\r\n\r\n"),
            ("a trailer that sets a cookie", b"0\r\nSet-Cookie: a\r\n\r\n"),
            ("extensions without measure", (b"1;" + b"a" * 200 + b"\r\na\r\n") * 100),
        )
    ),
)

TABLES: Final[tuple[tuple[Answered, ...], ...]] = (HEADS, FRAMING)
