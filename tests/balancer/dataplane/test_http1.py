"""Heads against RFC 9112 and RFC 9110: what is refused, what is read, and how.

The ids of the tables name the RFC's section, of 9112 where no number stands before it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from services.balancer.dataplane.errors import BadRequest, BadResponse, Refusal
from services.balancer.dataplane.http1 import (
    HEAD_END,
    REQUEST_LINE,
    STATUS_LINE,
    Fields,
    check_request,
    parse_request_fields,
    parse_response_fields,
)

LINES: Final = 20


class Request(NamedTuple):
    """What was understood of a request head."""

    method: bytes
    target: bytes
    minor: int
    fields: Fields


def read(head: bytes) -> Request:
    """A whole request head, by the steps of a client connection. Raises BadRequest."""
    match = REQUEST_LINE.match(head)
    if match is None or head.find(HEAD_END, match.end() - 2) != len(head) - 4:
        raise BadRequest(Refusal.MALFORMED, "no head")
    line, method, target, minor = match.groups()
    section = head[len(line) : -2]
    fields = parse_request_fields(section, LINES)
    target, fields = check_request(method, target, int(minor), fields)
    return Request(method, target, int(minor), fields)


BAD_SECTIONS: Final = {
    "5.1 space before the colon": b"A : b\r\n",
    "5.1 tab before the colon": b"A\t: b\r\n",
    "5.1 empty name": b": b\r\n",
    "5.1 no colon": b"A\r\n",
    "5.1 name is no token": b"A(b): c\r\n",
    "5.1 name with obs-text": b"\xc3\xa4: c\r\n",
    "5.1 space before the name": b" A: b\r\n",
    "5.2 obs-fold": b"A: b\r\n c\r\n",
    "5.2 obs-fold with a tab": b"A: b\r\n\tc\r\n",
    "5.2 obs-fold of Transfer-Encoding": b"Transfer-Encoding:\r\n chunked\r\n",
    "2.2 bare CR in a value": b"A: b\rc\r\n",
    "2.2 bare CR at the end": b"A: b\r\r\n",
    "2.2 bare LF in a value": b"A: b\nc\r\n",
    "2.2 bare LF ends a line": b"A: b\nTransfer-Encoding: chunked\r\n",
    "2.2 bare LF first": b"\nA: b\r\n",
    "9110 5.5 NUL in a value": b"A: b\x00c\r\n",
    "9110 5.5 control in a value": b"A: b\x1bc\r\n",
    "9110 5.5 DEL in a value": b"A: b\x7f\r\n",
    "6.3 length with a sign": b"Content-Length: +5\r\n",
    "6.3 negative length": b"Content-Length: -1\r\n",
    "6.3 two numbers": b"Content-Length: 5 5\r\n",
    "6.3 list of equal numbers": b"Content-Length: 5, 5\r\n",
    "6.3 length in hex": b"Content-Length: 0x5\r\n",
    "6.3 length with an exponent": b"Content-Length: 1e3\r\n",
    "6.3 length with a fraction": b"Content-Length: 5.0\r\n",
    "6.3 length with an underscore": b"Content-Length: 1_0\r\n",
    "6.3 length in other digits": b"Content-Length: \xb2\r\n",
    "6.3 length of 19 digits": b"Content-Length: 9999999999999999999\r\n",
    "6.3 length of 19 zeros": b"Content-Length: 0000000000000000000\r\n",
    "6.3 empty length": b"Content-Length:\r\n",
    "6.3 length twice": b"Content-Length: 5\r\ncontent-length: 5\r\n",
    "6.3 two lengths": b"Content-Length: 5\r\nContent-Length: 6\r\n",
    "6.1 coding twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    "6.1 length, then coding": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
    "6.1 coding, then length": b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    "6.1 zero length and coding": b"Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
    "9110 7.6.1 names Content-Length": b"Connection: Content-Length\r\nContent-Length: 5\r\n",
    "9110 7.6.1 names Transfer-Encoding": b"Connection: close, transfer-encoding\r\n",
    "9110 7.6.1 names Host": b"Connection: a ,\tHOST\r\n",
    "9110 7.6.1 names Via in a second line": b"Connection: close\r\nConnection: Via\r\n",
    "9110 7.6.1 names Trailer": b"Connection: trailer\r\n",
}
UNKNOWN_CODINGS: Final = {
    "6.1 gzip": b"gzip",
    "6.1 gzip, chunked": b"gzip, chunked",
    "6.1 chunked, gzip": b"chunked, gzip",
    "6.1 chunked, chunked": b"chunked, chunked",
    "6.1 chunked with a parameter": b"chunked;x",
    "6.1 identity": b"identity",
    "6.1 xchunked": b"xchunked",
    "6.1 quoted": b'"chunked"',
    "6.1 list with an empty member": b"chunked,",
    "6.1 vertical space": b"\xa0chunked",
    "6.1 empty": b"",
}


@pytest.mark.parametrize("lines", BAD_SECTIONS.values(), ids=BAD_SECTIONS.keys())
@pytest.mark.parametrize("before", [b"", b"Accept: */*\r\n"], ids=["first", "later"])
def test_a_bad_section_is_refused_on_both_sides(before: bytes, lines: bytes) -> None:
    """400 to a client; the same fault is a target's when it answers so."""
    with pytest.raises(BadRequest) as refused:
        parse_request_fields(b"Host: a\r\n" + before + lines, LINES)
    assert refused.value.refusal is Refusal.MALFORMED
    with pytest.raises(BadRequest):
        read(b"POST / HTTP/1.1\r\n" + before + lines + b"Host: a\r\n\r\n")
    with pytest.raises(BadResponse):
        parse_response_fields(before + lines, LINES)


@pytest.mark.parametrize("value", UNKNOWN_CODINGS.values(), ids=UNKNOWN_CODINGS.keys())
def test_a_coding_that_we_cannot_frame_is_refused(value: bytes) -> None:
    """RFC 9112, 6.1: 501 for a coding that is not understood."""
    line = b"Transfer-Encoding: " + value + b"\r\n"
    with pytest.raises(BadRequest) as refused:
        parse_request_fields(b"Host: a\r\n" + line, LINES)
    assert refused.value.refusal is Refusal.CODING
    with pytest.raises(BadResponse):
        parse_response_fields(line, LINES)


BAD_REQUESTS: Final = {
    "3.2 no Host": (b"GET / HTTP/1.1\r\n\r\n", Refusal.MALFORMED),
    "3.2 two Hosts": (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2 two Hosts, apart": (
        b"GET / HTTP/1.1\r\nHost: a\r\nA: b\r\nhOST:\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "3.2 Host with userinfo": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Refusal.MALFORMED),
    "3.2 list of Hosts": (b'GET / HTTP/1.1\r\nHost: "a", b\r\n\r\n', Refusal.MALFORMED),
    "3.2 Host with a port that is none": (
        b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "3.2 Host with two ports": (b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host with a port of six": (b"GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host with half a bracket": (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host with half an escape": (b"GET / HTTP/1.1\r\nHost: a%2\r\n\r\n", Refusal.MALFORMED),
    "3.2 Host of obs-text": (b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n", Refusal.MALFORMED),
    "3.2 no slash": (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2 query alone": (b"GET ?a HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2 fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2 target of obs-text": (b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2 control in the target": (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.2 other scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.2 userinfo": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.2 userinfo and password": (
        b"GET http://u:p@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "3.2.2 no authority": (b"GET http:/// HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.2 nothing but a scheme": (b"GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.2 authority is no host": (
        b"GET http://a\\b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "3.2.2 absolute without Host": (b"GET http://a/ HTTP/1.1\r\n\r\n", Refusal.MALFORMED),
    "9110 4.2.1 empty host": (b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.3 CONNECT": (b"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Refusal.METHOD),
    "3.2.4 asterisk with GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.4 two asterisks": (b"OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.2.3 authority with GET": (b"GET a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", Refusal.MALFORMED),
    "9110 9.3.8 TRACE": (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.METHOD),
    "9110 10.1.1 other expectation": (
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n",
        Refusal.EXPECTATION,
    ),
    "9110 10.1.1 two expectations": (
        b"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue, x\r\n\r\n",
        Refusal.EXPECTATION,
    ),
    "6.1 chunked in 1.0": (
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "9110 5.4 too many lines": (
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * LINES + b"\r\n",
        Refusal.HEAD_TOO_LARGE,
    ),
    "3 two spaces": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3 space in the target": (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3 space after the version": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3 tab for a space": (b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3 no version": (b"GET /\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "3.1 method is no token": (b"G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "2.3 version 1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "2.3 version 2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "2.3 version in small letters": (b"GET / http/1.1\r\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "2.2 request line ends in LF": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal.MALFORMED),
    "2.2 section ends in LF": (b"GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal.MALFORMED),
    "2.2 line ends in LF": (b"GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", Refusal.MALFORMED),
    "2.2 an end in LF, then another": (
        b"GET / HTTP/1.1\r\nHost: a\n\nB: c\r\n\r\n",
        Refusal.MALFORMED,
    ),
    "2.2 line before the fields": (b"GET / HTTP/1.1\r\n\nHost: a\r\n\r\n", Refusal.MALFORMED),
}


@pytest.mark.parametrize(("head", "refusal"), BAD_REQUESTS.values(), ids=BAD_REQUESTS.keys())
def test_a_bad_request_is_refused(head: bytes, refusal: Refusal) -> None:
    """Never repaired; the reason names a status."""
    with pytest.raises(BadRequest) as refused:
        read(head)
    assert refused.value.refusal is refusal
    assert refused.value.detail


GOOD_REQUESTS: Final = {
    "3.2.1 origin": (b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n", b"/a?b", b"x", b"Host: x\r\n"),
    "3.2.2 absolute": (
        b"GET http://y:8/a?b HTTP/1.1\r\nA: b\r\nhOst: x\r\nC: d\r\n\r\n",
        *(b"/a?b", b"y:8", b"Host: y:8\r\nA: b\r\nC: d\r\n"),
    ),
    "3.2.2 absolute, https, any case": (
        b"GET HTTPS://Y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"/", b"Y", b"Host: Y\r\n"),
    ),
    "3.2.2 absolute without a path": (
        b"GET http://y HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"/", b"y", b"Host: y\r\n"),
    ),
    "3.2.2 absolute, a query alone": (
        b"GET http://y?a=@/ HTTP/1.1\r\nHost:\r\n\r\n",
        *(b"/?a=@/", b"y", b"Host: y\r\n"),
    ),
    "3.2.2 absolute in 1.0 without Host": (
        b"GET http://y/ HTTP/1.0\r\nA: b\r\n\r\n",
        *(b"/", b"y", b"Host: y\r\nA: b\r\n"),
    ),
    "3.2.4 asterisk": (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", b"*", b"x", b"Host: x\r\n"),
    "3.2.4 absolute without a path": (
        b"OPTIONS http://y:8001 HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"*", b"y:8001", b"Host: y:8001\r\n"),
    ),
    "3.2.4 absolute with a path": (
        b"OPTIONS http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"/", b"y", b"Host: y\r\n"),
    ),
    "3.2 1.0 without Host": (b"GET / HTTP/1.0\r\nA: b\r\n\r\n", b"/", None, b"A: b\r\n"),
    "3.2 1.0 without fields": (b"GET / HTTP/1.0\r\n\r\n", b"/", None, b""),
    "3.2 empty Host": (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", b"/", b"", b"Host:\r\n"),
    "3.2 Host with space around": (
        b"GET / HTTP/1.1\r\nHost: \t x \t\r\n\r\n",
        *(b"/", b"x", b"Host: \t x \t\r\n"),
    ),
    "3.2 Host is IPv6": (
        b"GET / HTTP/1.1\r\nHOST:[2001:db8::1]:80\r\n\r\n",
        *(b"/", b"[2001:db8::1]:80", b"HOST:[2001:db8::1]:80\r\n"),
    ),
    "3.2 path of two slashes": (
        b"GET //y/a HTTP/1.1\r\nHost: x\r\n\r\n",
        *(b"//y/a", b"x", b"Host: x\r\n"),
    ),
    "3.1 a method of one's own": (b"p-1 / HTTP/1.1\r\nHost: x\r\n\r\n", b"/", b"x", b"Host: x\r\n"),
    "9110 5.5 obs-text and an empty value": (
        b"GET / HTTP/1.1\r\nHost: x\r\nA: \xc3\xa4\t!\r\nB:\r\n\r\n",
        *(b"/", b"x", b"Host: x\r\nA: \xc3\xa4\t!\r\nB:\r\n"),
    ),
    "9110 7.2 Host in a value only": (
        b"GET / HTTP/1.1\r\nA: Host: y\r\nHost: x\r\nMyHost: z\r\n\r\n",
        *(b"/", b"x", b"A: Host: y\r\nHost: x\r\nMyHost: z\r\n"),
    ),
}


@pytest.mark.parametrize(
    ("head", "target", "host", "onward"), GOOD_REQUESTS.values(), ids=GOOD_REQUESTS.keys()
)
def test_a_good_request_is_read(
    head: bytes, target: bytes, host: bytes | None, onward: bytes
) -> None:
    """Target in the form that goes on, the host that counts, and the lines that go on."""
    request = read(head)
    assert request.target == target
    assert request.fields.host == host
    assert request.fields.onward == onward


def test_the_first_head_of_two_is_matched() -> None:
    """RFC 9112, 9.3.2: what follows a head, a body or another head, is not part of it."""
    one = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n"
    line = b"GET /1 HTTP/1.1\r\n"
    match = REQUEST_LINE.match(one + b"GET /2 HTTP/1.1\r\n\r\n")
    assert match is not None
    assert match[0] == line
    for cut in range(len(line)):
        assert REQUEST_LINE.match(one[:cut]) is None
    for empty in (b"\r\n", b"\n", b"\r"):
        assert REQUEST_LINE.match(empty + one) is None  # a connection takes them off first


RESPONSE_LINES: Final = {
    b"HTTP/1.1 200 OK": True,
    b"HTTP/1.0 404 Not \xe4 Found": True,
    b"HTTP/1.1 299 ": True,
    b"HTTP/1.1 299": True,
    b"HTTP/1.1 099 Low": False,
    b"HTTP/1.1 600 High": False,
    b"HTTP/1.1 20 Short": False,
    b"HTTP/1.1 2000 Long": False,
    b"HTTP/1.1  200 OK": False,
    b"HTTP/1.2 200 OK": False,
    b"HTTP/2 200": False,
    b"http/1.1 200 OK": False,
    b"ICY 200 OK": False,
    b"HTTP/1.1 200 O\x00K": False,
    b"HTTP/1.1 200 O\rK": False,
    b"HTTP/1.1 200 O\nK": False,
}


@pytest.mark.parametrize(("line", "good"), RESPONSE_LINES.items(), ids=repr)
def test_status_lines(line: bytes, good: bool) -> None:
    """RFC 9112, 4."""
    match = STATUS_LINE.match(line + b"\r\nA: b\r\n\r\nbody")
    assert (match is not None) is good
    if match is not None:
        assert match[0] == line + b"\r\n"
