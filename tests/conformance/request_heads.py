"""Request lines and field sections."""

from __future__ import annotations

from typing import Final

from tests.conformance.cases import Asked, passed, refused


def _line(line: bytes) -> bytes:
    return line + b"\r\nHost: h\r\n\r\n"


def _with(fields: bytes) -> bytes:
    return b"GET /c HTTP/1.1\r\nHost: h\r\n" + fields + b"\r\n"


def _hosts(fields: bytes) -> bytes:
    return b"GET /c HTTP/1.1\r\n" + fields + b"\r\n"


LINES: Final = (
    passed("9112 3.2.1", "origin form", _line(b"GET /c HTTP/1.1")),
    passed("9112 3.2.1", "origin form with a query", _line(b"GET /c?a=b&c=%20/?: HTTP/1.1")),
    passed("9112 3.2.1", "a query that looks like a version", _line(b"GET /c?HTTP/1.0 HTTP/1.1")),
    passed("9112 3.2.1", "encoded octets stay encoded", _line(b"GET /c/%2e%2E/%2f%00 HTTP/1.1")),
    passed("9112 3.2.1", "so do line ends", _line(b"GET /c/%0d%0aA:%20b%0D%0A HTTP/1.1")),
    passed("9112 3.2.1", "empty segments stay", _line(b"GET /c//d/ HTTP/1.1")),
    passed("9112 3.2.1", "bytes that a URI has no use for", _line(b'GET /c/"<>\\^`{|} HTTP/1.1')),
    passed("9112 3.1", "a method of its own", _line(b"PURGE /c HTTP/1.1")),
    passed("9112 3.1", "a method of every token byte", _line(b"!#$%&'*+-.^_`|~09aZ /c HTTP/1.1")),
    passed("9110 9.1", "methods are case-sensitive: get is not GET", _line(b"get /c HTTP/1.1")),
    *(
        passed("9110 9.3", f"{method} without content", _line(method.encode() + b" /c HTTP/1.1"))
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
    ),
    *(
        passed(
            "9112 3.2.2",
            f"absolute form {form.decode()}",
            _line(b"GET " + form + b" HTTP/1.1"),
            b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, host),
        )
        for form, target, host in (
            (b"http://y/c", b"/c", b"y"),
            (b"http://y:80/c?a", b"/c?a", b"y:80"),
            (b"HTTP://Y/c", b"/c", b"Y"),
            (b"https://y/c", b"/c", b"y"),
            (b"http://[::1]:8/c", b"/c", b"[::1]:8"),
            (b"http://10.0.0.1/c", b"/c", b"10.0.0.1"),
        )
    ),
    refused("9112 3", "two spaces before the target", 400, _line(b"GET  /c HTTP/1.1")),
    refused("9112 3", "two spaces before the version", 400, _line(b"GET /c  HTTP/1.1")),
    refused("9112 3", "space after the version", 400, _line(b"GET /c HTTP/1.1 ")),
    refused("9112 3", "space before the method", 400, _line(b" GET /c HTTP/1.1")),
    refused("9112 3", "tab for a space", 400, _line(b"GET\t/c HTTP/1.1")),
    refused("9112 3", "form feed for a space", 400, _line(b"GET\x0c/c HTTP/1.1")),
    refused("9112 3", "no target", 400, _line(b"GET HTTP/1.1")),
    refused("9112 3", "no version (HTTP/0.9)", 400, _line(b"GET /c")),
    refused("9112 3.2", "space in the target", 400, _line(b"GET /c d HTTP/1.1")),
    refused("9112 3.2", "fragment in the target", 400, _line(b"GET /c#d HTTP/1.1")),
    refused("9112 3.2", "control in the target", 400, _line(b"GET /c\x01 HTTP/1.1")),
    refused("9112 3.2", "NUL in the target", 400, _line(b"GET /c\x00 HTTP/1.1")),
    refused("9112 3.2", "obs-text in the target", 400, _line(b"GET /c\xff HTTP/1.1")),
    refused("9112 3.2", "bare CR in the target", 400, _line(b"GET /c\r HTTP/1.1")),
    refused("9112 3.2", "a relative path", 400, _line(b"GET c HTTP/1.1")),
    refused("9112 3.2", "a query alone", 400, _line(b"GET ?a HTTP/1.1")),
    refused("9112 3.2.2", "another scheme", 400, _line(b"GET ftp://h/c HTTP/1.1")),
    refused("9112 3.2.2", "no authority", 400, _line(b"GET http:///c HTTP/1.1")),
    refused("9112 3.2.2", "a port without a host", 400, _line(b"GET http://:80/c HTTP/1.1")),
    refused("9110 4.2.4", "user information", 400, _line(b"GET http://u:p@h/c HTTP/1.1")),
    refused("9112 3.2.2", "authority is no host", 400, _line(b"GET http://[h]/c HTTP/1.1")),
    refused("9112 3.2.2", "backslash in the authority", 400, _line(b"GET http://h\\/c HTTP/1.1")),
    refused("9112 3.2.3", "authority form without CONNECT", 400, _line(b"GET h:80 HTTP/1.1")),
    refused("9112 3.2.4", "asterisk without OPTIONS", 400, _line(b"GET * HTTP/1.1")),
    refused("9112 3.2.4", "asterisk with a path", 400, _line(b"OPTIONS */c HTTP/1.1")),
    refused("9110 9.3.6", "CONNECT", 501, _line(b"CONNECT h:80 HTTP/1.1")),
    refused("9110 9.3.6", "CONNECT with a path", 501, _line(b"CONNECT /c HTTP/1.1")),
    refused("9110 9.3.8", "TRACE", 501, _line(b"TRACE /c HTTP/1.1")),
    refused("9112 3.1", "method is no token", 400, _line(b"G(T /c HTTP/1.1")),
    refused("9112 3.1", "method with a colon", 400, _line(b"GET: /c HTTP/1.1")),
    refused("9112 3.1", "no method", 400, _line(b"/c HTTP/1.1")),
    refused("9110 15.6.6", "HTTP/2.0", 505, _line(b"GET /c HTTP/2.0")),
    refused("9110 15.6.6", "the preface of HTTP/2", 505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("9110 15.6.6", "HTTP/3.0", 505, _line(b"GET /c HTTP/3.0")),
    refused("9110 15.6.6", "HTTP/0.9, said", 505, _line(b"GET /c HTTP/0.9")),
    refused("9110 15.6.6", "HTTP/1.2 (we promise two versions)", 505, _line(b"GET /c HTTP/1.2")),
    refused("9112 2.3", "name in small letters", 400, _line(b"GET /c http/1.1")),
    refused("9112 2.3", "two digits", 400, _line(b"GET /c HTTP/1.10")),
    refused("9112 2.3", "no minor version", 400, _line(b"GET /c HTTP/1")),
    refused("9112 2.3", "another protocol", 400, _line(b"GET /c HTTPS/1.1")),
    refused("9112 2.3", "space in the version", 400, _line(b"GET /c HTTP /1.1")),
    refused("9112 2.2", "request line ends in LF", 400, b"GET /c HTTP/1.1\nHost: h\r\n\r\n"),
    refused("9112 2.2", "request line ends in CR CR LF", 400, _line(b"GET /c HTTP/1.1\r")),
    refused("9112 2.2", "LF before the request line", 400, b"\n" + _line(b"GET /c HTTP/1.1")),
    refused("9112 2.2", "CR before the request line", 400, b"\r" + _line(b"GET /c HTTP/1.1")),
    refused(
        "9112 2.2", "space before the first field", 400, b"GET /c HTTP/1.1\r\n Host: h\r\n\r\n"
    ),
    passed(
        *("9112 2.2", "empty lines before the request line"),
        *(b"\r\n\r\n" + _line(b"GET /c HTTP/1.1"), _line(b"GET /c HTTP/1.1")),
    ),
    refused("9110 4.1", "target over the limit", 414, _line(b"GET /c?%b HTTP/1.1" % (b"a" * 9000))),
    Asked(
        section="9110 4.1",
        what="target far over the limit",
        sent=b"GET /c?" + b"a" * 20_000,
        statuses=(414,),
        closes=True,
    ),
    refused("9112 2", "TLS to a plain port", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
)

HOSTS: Final = (
    *(
        passed("9110 7.2", f"Host {host.decode()!r}", _hosts(b"Host: " + host + b"\r\n"))
        for host in (
            *(b"example.com", b"EXAMPLE.com:8080", b"10.0.0.1", b"[2001:db8::1]", b"[::1]:80"),
            *(b"a_b.c", b"x%41", b"", b"h:"),
        )
    ),
    refused("9112 3.2", "no Host", 400, _hosts(b"A: b\r\n")),
    refused("9112 3.2", "no fields at all", 400, _hosts(b"")),
    refused("9112 3.2", "two Hosts", 400, _hosts(b"Host: a\r\nHost: b\r\n")),
    refused("9112 3.2", "the same Host twice", 400, _hosts(b"Host: a\r\nA: b\r\nhOST: a\r\n")),
    refused("9112 3.2", "absolute form without Host", 400, b"GET http://h/c HTTP/1.1\r\n\r\n"),
    refused(
        "9112 3.2",
        "absolute form, two Hosts",
        400,
        b"GET http://h/c HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    ),
    *(
        refused("9110 7.2", f"Host {host!r}", 400, _hosts(b"Host: " + host + b"\r\n"))
        for host in (
            *(b"a b", b"a/b", b"u@a", b"a?b", b"a#b", b"a\\b", b"[::1", b"::1", b"a:b", b"a:80:80"),
            *(b"a:123456", b"http://a", b"\xff", b"a%4", b"a\tb", b"<a>", b"a:-1", b"[]"),
        )
    ),
)

FIELDS: Final = (
    passed("9110 5.5", "an empty value", _with(b"A:\r\nB: \t \r\n")),
    passed("9110 5.5", "obs-text in a value", _with(b"A: \x80\xff\r\n")),
    passed("9110 5.5", "tabs and spaces in and around a value", _with(b"A:\t b\t c \t\r\n")),
    passed("9110 5.1", "names of every token byte", _with(b"!#$%&'*+-.^_`|~09aZ: b\r\n")),
    passed("9110 5.3", "equal names keep their order", _with(b"A: 2\r\nB: 0\r\na: 1\r\n")),
    passed("9110 5.5", "a value like a field", _with(b"A: Content-Length: 5\r\nB: \\r\\n\r\n")),
    passed("9110 5.1", "underscores are not hyphens", _with(b"Content_Length: 5\r\n")),
    passed("9110 5.4", "a long value", _with(b"A: " + b"b" * 16_000 + b"\r\n")),
    *(
        refused("9112 5.1", what, 400, _with(fields))
        for what, fields in (
            ("space before the colon", b"A : b\r\n"),
            ("tab before the colon", b"A\t: b\r\n"),
            ("space before the colon of Transfer-Encoding", b"Transfer-Encoding : chunked\r\n"),
            ("space before the colon of Content-Length", b"Content-Length : 5\r\n"),
            ("no name", b": b\r\n"),
            ("no colon", b"A\r\n"),
            ("space before a name", b" A: b\r\n"),
            ("parenthesis in a name", b"A(b): c\r\n"),
            ("obs-text in a name", b"\xc3\xa4: c\r\n"),
            ("NUL in a name", b"A\x00: c\r\n"),
        )
    ),
    *(
        refused("9112 5.2", what, 400, _with(fields))
        for what, fields in (
            ("obs-fold", b"A: b\r\n c\r\n"),
            ("obs-fold with a tab", b"A: b\r\n\tc\r\n"),
            ("obs-fold of nothing", b"A: b\r\n \r\n"),
            ("obs-fold of Transfer-Encoding", b"Transfer-Encoding:\r\n chunked\r\n"),
            ("obs-fold of Content-Length", b"Content-Length: 5\r\n 5\r\n"),
        )
    ),
    *(
        refused(section, what, 400, _with(fields))
        for section, what, fields in (
            ("9110 5.5", "NUL in a value", b"A: b\x00c\r\n"),
            ("9110 5.5", "escape in a value", b"A: b\x1bc\r\n"),
            ("9110 5.5", "DEL in a value", b"A: b\x7f\r\n"),
            ("9110 5.5", "vertical tab in a value", b"A: b\x0bc\r\n"),
            ("9112 2.2", "bare CR in a value", b"A: b\rc\r\n"),
            ("9112 2.2", "bare CR that hides a field", b"A: b\rTransfer-Encoding: chunked\r\n"),
            ("9112 2.2", "bare CR before CRLF", b"A: b\r\r\n"),
            ("9112 2.2", "bare LF ends a line", b"A: b\nC: d\r\n"),
            ("9112 2.2", "bare LF hides a field", b"A: b\nTransfer-Encoding: chunked\r\n"),
            ("9112 2.2", "two bare LFs end the section", b"A: b\n\nGET /c HTTP/1.1\r\n"),
            ("9112 2.2", "LF CR for CRLF", b"A: b\n\r"),
        )
    ),
    refused("9110 5.4", "too many fields", 431, _with(b"A: b\r\n" * 200)),
    refused("9110 5.4", "section over the limit", 431, _with(b"A: " + b"b" * 40_000 + b"\r\n")),
    refused("6585 5", "a line that never ends", 431, _with(b"A: " + b"b" * 80_000)[:-2]),
    refused("9110 10.1.1", "an expectation nobody knows", 417, _with(b"Expect: 200-ok\r\n")),
)

HOP: Final = (
    *(
        passed("9110 7.6.1", what, _with(fields), _with(kept))
        for what, fields, kept in (
            ("Connection itself", b"A: b\r\nConnection: keep-alive\r\n", b"A: b\r\n"),
            (
                "a field that Connection names",
                b"Connection: x-a\r\nX-A: 1\r\nX-B: 2\r\n",
                b"X-B: 2\r\n",
            ),
            ("named in any case, before it", b"X-A: 1\r\nConnection: X-a\r\nx-A: 2\r\n", b""),
            ("two Connections", b"Connection: x-a\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n", b""),
            ("a list with empty members", b"Connection: ,, x-a ,\r\nX-A: 1\r\n", b""),
            ("a longer name stays", b"Connection: x-a\r\nX-A-B: 1\r\n", b"X-A-B: 1\r\n"),
            ("Keep-Alive", b"Keep-Alive: timeout=5\r\n", b""),
            ("Proxy-Connection", b"Proxy-Connection: keep-alive\r\n", b""),
            ("TE", b"TE: trailers\r\nConnection: te\r\n", b""),
            ("Upgrade to what is not spoken", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b""),
            ("Upgrade that Connection does not name", b"Upgrade: websocket\r\n", b""),
            (
                "HTTP2-Settings that Connection names",
                b"Connection: HTTP2-Settings\r\nHTTP2-Settings: AAA\r\n",
                b"",
            ),
        )
    ),
    passed(
        "9110 11.7.2", "Proxy-Authorization", _with(b"Proxy-Authorization: Basic x\r\n"), _with(b"")
    ),
    passed("9110 7.6.3", "Via of those before us stays", _with(b"Via: 1.0 p\r\n")),
    passed("9110 11.6.2", "Authorization goes on", _with(b"Authorization: Basic x\r\n")),
    passed("9110 6.6.2", "Trailer goes on", _with(b"Trailer: Digest\r\n")),
    *(
        passed(
            "7239 8.1", f"a stranger's {name.decode()}", _with(name + b": 1.2.3.4\r\n"), _with(b"")
        )
        for name in (
            *(b"X-Forwarded-For", b"x-forwarded-proto", b"X-Forwarded-Host", b"X-Forwarded-Port"),
            *(b"X-Real-IP", b"FORWARDED", b"X-Request-ID"),
        )
    ),
    *(
        refused(
            "9110 7.6.1",
            f"Connection names {name.decode()}",
            400,
            _with(b"Connection: " + name + b"\r\n"),
        )
        for name in (b"Host", b"content-length", b"Transfer-Encoding", b"close, via", b"trailer")
    ),
)

TABLES: Final[tuple[tuple[Asked, ...], ...]] = (LINES, HOSTS, FIELDS, HOP)
