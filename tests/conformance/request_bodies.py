"""How requests are framed: lengths, codings, chunks, trailers."""

from __future__ import annotations

from typing import Final

from tests.conformance.cases import Asked, passed, refused


def _post(fields: bytes, body: bytes = b"") -> bytes:
    return b"POST /c HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n" + body


def _chunked(body: bytes) -> bytes:
    return _post(b"Transfer-Encoding: chunked\r\n", body)


LENGTHS: Final = (
    passed("9112 6.2", "a length", _post(b"Content-Length: 5\r\n", b"hello")),
    passed("9112 6.2", "a length of 0", _post(b"Content-Length: 0\r\n")),
    passed("9112 6.2", "zeros before a length", _post(b"Content-Length: 005\r\n", b"hello")),
    passed("9112 6.3", "neither length nor coding: no body", _post(b"")),
    passed(
        "9112 6.2", "GET with a body", b"GET /c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
    ),
    passed(
        "9112 6.2",
        "HEAD with a body",
        b"HEAD /c HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi",
    ),
    passed(
        "9112 6.2",
        "a body that looks like a request",
        _post(b"Content-Length: 24\r\n", b"GET /c?x HTTP/1.1\r\nA: b\r\n"[:24]),
    ),
    passed(
        "9112 6.2", "a body of every byte", _post(b"Content-Length: 256\r\n", bytes(range(256)))
    ),
    *(
        refused(
            "9110 8.6",
            f"Content-Length {value!r}",
            400,
            _post(b"Content-Length: " + value + b"\r\n", b"hello"),
        )
        for value in (
            *(b"", b"+5", b"-1", b"5 5", b"5, 5", b"5,6", b"0x5", b"1e1", b"5.0", b"1_0", b"\xb2"),
            *(b"five", b'"5"', b"5;a", b"9999999999999999999", b"18446744073709551621"),
            *(b"0" * 20, b"5\x0b"),
        )
    ),
    refused(
        "9112 6.3",
        "equal lengths",
        400,
        _post(b"Content-Length: 5\r\ncontent-length: 5\r\n", b"hello"),
    ),
    refused(
        "9112 6.3",
        "different lengths",
        400,
        _post(b"Content-Length: 5\r\nContent-Length: 0\r\n", b"hello"),
    ),
)

CODINGS: Final = (
    passed("9112 6.1", "chunked", _chunked(b"5\r\nhello\r\n0\r\n\r\n")),
    passed(
        "9112 7",
        "chunked in any case, and space around it",
        _post(b"Transfer-Encoding:  ChUnKeD \t\r\n", b"0\r\n\r\n"),
        _chunked(b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "length, then coding",
        400,
        _post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "coding, then length",
        400,
        _post(b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "coding and a length of 0",
        400,
        _post(b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "chunked twice, in two lines",
        400,
        _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "chunked, then gzip in another line",
        400,
        _post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", b"0\r\n\r\n"),
    ),
    *(
        refused(
            "9112 6.1",
            f"Transfer-Encoding {value!r}",
            501,
            _post(b"Transfer-Encoding: " + value + b"\r\n", b"0\r\n\r\n"),
        )
        for value in (
            *(b"gzip", b"gzip, chunked", b"chunked, gzip", b"chunked, chunked", b"identity", b""),
            *(b"xchunked", b"chunkedx", b'"chunked"', b"chunked;a=b", b"chunked,", b",chunked"),
            *(b"\xa0chunked", b"chunk ed"),
        )
    ),
    refused(
        "9112 6.1",
        "a control before chunked",
        400,
        _post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    ),
    refused(
        "9112 6.1",
        "chunked in HTTP/1.0",
        400,
        b"POST /c HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
)

CHUNKS: Final = (
    passed("9112 7.1", "several chunks", _chunked(b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n")),
    passed(
        "9112 7.1",
        "sizes in either case",
        _chunked(b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"),
    ),
    passed("9112 7.1", "zeros before a size", _chunked(b"0005\r\nhello\r\n000\r\n\r\n")),
    passed(
        "9112 7.1", "data that looks like the end", _chunked(b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n")
    ),
    passed("9112 7.1.1", "an extension", _chunked(b"5;a=b\r\nhello\r\n0\r\n\r\n")),
    passed("9112 7.1.1", "an extension without a value", _chunked(b"5;a\r\nhello\r\n0;b\r\n\r\n")),
    passed("9112 7.1.1", "a quoted value", _chunked(b'5;a="b;\\"c"\r\nhello\r\n0\r\n\r\n')),
    passed(
        *("9112 7.1.1", "space around an extension is not sent"),
        *(_chunked(b"5 ; a = b\r\nhello\r\n0\r\n\r\n"), _chunked(b"5\r\nhello\r\n0\r\n\r\n")),
    ),
    passed("9112 7.1.2", "a trailer", _chunked(b"0\r\nDigest: x\r\n\r\n")),
    passed("9112 7.1.2", "two trailers", _chunked(b"1\r\na\r\n0\r\nA: 1\r\nB:\r\n\r\n")),
    *(
        passed(
            "9110 6.5.1",
            f"trailer {name.decode()}",
            _chunked(b"0\r\nA: b\r\n" + name + b": 1\r\nC: d\r\n\r\n"),
            _chunked(b"0\r\nA: b\r\nC: d\r\n\r\n"),
        )
        for name in (
            *(b"X-Forwarded-For", b"x-forwarded-proto", b"X-Forwarded-Host", b"X-Forwarded-Port"),
            *(b"X-Real-Ip", b"Forwarded", b"X-Request-Id", b"Keep-Alive", b"Proxy-Connection"),
            b"Proxy-Authorization",
        )
    ),
    passed(
        "9110 7.6.1",
        "a trailer that Connection names",
        _post(b"Connection: x-a\r\nTransfer-Encoding: chunked\r\n", b"0\r\nX-a: 1\r\nB: 2\r\n\r\n"),
        _chunked(b"0\r\nB: 2\r\n\r\n"),
    ),
)

# The head has gone on when a chunk is found to be broken: the target sees its request cut.
BROKEN_CHUNKS: Final = tuple(
    refused(section, what, 400, _chunked(body))
    for section, what, body in (
        ("9112 7.1", "no size", b"\r\n\r\n"),
        ("9112 7.1", "size is no hex", b"g\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size with a prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size with a plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size with a minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size with an underscore", b"1_0\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "space before a size", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "space after a size", b"5 \r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "tab after a size", b"5\t\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size of 17 digits", b"00000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size that overflows 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size line ends in LF", b"5\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "size line ends in CR", b"5\rhello\r\n0\r\n\r\n"),
        ("9112 7.1", "data ends in LF", b"5\r\nhello\n0\r\n\r\n"),
        ("9112 7.1", "data ends in nothing", b"5\r\nhello0\r\n\r\n"),
        ("9112 7.1", "data longer than its size", b"4\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1", "last chunk ends in LF", b"0\n\r\n"),
        ("9112 7.1.1", "extension without a name", b"5;\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1.1", "extension of two words", b"5;a b\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1.1", "quoted value not closed", b'5;a="b\r\nhello\r\n0\r\n\r\n'),
        ("9112 7.1.1", "LF in an extension", b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1.1", "CR in an extension", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
        ("9112 7.1.1", "NUL in an extension", b"5;a=\x00\r\nhello\r\n0\r\n\r\n"),
        (
            "9112 7.1.1",
            "extension over the limit",
            b"5;a=" + b"b" * 300 + b"\r\nhello\r\n0\r\n\r\n",
        ),
        ("9112 7.1.1", "more extensions than data", (b"1;" + b"a" * 200 + b"\r\na\r\n") * 100),
        ("9112 7.1.2", "trailer without a colon", b"0\r\nabc\r\n\r\n"),
        ("9112 7.1.2", "space before a trailer's colon", b"0\r\nA : b\r\n\r\n"),
        ("9112 7.1.2", "folded trailer", b"0\r\nA: b\r\n c\r\n\r\n"),
        ("9112 7.1.2", "trailer ends in LF", b"0\r\nA: b\n\r\n"),
        ("9112 7.1.2", "bare CR in a trailer", b"0\r\nA: b\rc\r\n\r\n"),
        ("9112 7.1.2", "NUL in a trailer", b"0\r\nA: \x00\r\n\r\n"),
        ("9112 7.1.2", "trailers end in LF", b"0\r\nA: b\r\n\n"),
        ("9112 7.1.2", "trailers over the limit", b"0\r\n" + b"A: bcdef\r\n" * 1000 + b"\r\n"),
        ("9110 6.5.1", "trailer Content-Length", b"0\r\nContent-Length: 5\r\n\r\n"),
        ("9110 6.5.1", "trailer transfer-encoding", b"0\r\ntransfer-encoding: chunked\r\n\r\n"),
        ("9110 6.5.1", "trailer Host", b"0\r\nHost: a\r\n\r\n"),
        ("9110 6.5.1", "trailer Authorization", b"0\r\nAuthorization: a\r\n\r\n"),
        ("9110 6.5.1", "trailer Connection", b"0\r\nConnection: close\r\n\r\n"),
        ("9110 6.5.1", "trailer Cookie", b"0\r\nCookie: a\r\n\r\n"),
    )
)

TABLES: Final[tuple[tuple[Asked, ...], ...]] = (LENGTHS, CODINGS, CHUNKS, BROKEN_CHUNKS)
