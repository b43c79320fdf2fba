"""Any bytes at all, and the same heads read by h11 and httptools (llhttp).

Two parsers that disagree on where a message ends are what request smuggling is made of: whatever
goes on from here, the others must read as we did.
"""

from __future__ import annotations

import contextlib
from typing import Final, NamedTuple

import h11
import httptools
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.balancer.dataplane.errors import BadRequest, BadResponse
from services.balancer.dataplane.http1 import (
    HEAD_END,
    REQUEST_LINE,
    Fields,
    check_request,
    parse_request_fields,
    parse_response_fields,
)

steady = settings(derandomize=True, deadline=None, max_examples=300)

CRUMBS: Final = (
    *(b"Host", b"Content-Length", b"transfer-encoding", b"Connection", b"Expect", b"A", b"Upgrade"),
    *(b":", b": ", b" ", b"\t", b",", b"\r\n", b"\r", b"\n", b"\x00", b"\xff", b"5", b"-", b"+"),
    *(b"chunked", b"close", b"100-continue", b"a.b", b"[::1]", b"http://", b"/", b"*", b"?", b"@"),
)
anything = st.one_of(
    st.binary(max_size=200), st.lists(st.sampled_from(CRUMBS), max_size=40).map(b"".join)
)


@given(anything, st.integers(0, 30))
@steady
def test_any_section_is_parsed_or_refused(section: bytes, most: int) -> None:
    """No other exception; and what is accepted has no way to end early."""
    for parse, refused in (
        (parse_request_fields, BadRequest),
        (parse_response_fields, BadResponse),
    ):
        with contextlib.suppress(refused):
            fields = parse(section, most)
            assert section.count(b"\n") <= most
            assert fields.onward.count(b"\r\n") == fields.onward.count(b"\n")
            assert fields.onward.count(b"\r") == fields.onward.count(b"\n")
            assert b"\x00" not in fields.onward
            assert not fields.onward.startswith(b"\r\n")
            assert b"\r\n\r\n" not in fields.onward


@given(
    st.sampled_from((b"GET", b"OPTIONS", b"CONNECT", b"TRACE", b"X")),
    st.one_of(
        st.lists(st.sampled_from((b"/", b"*", b"?", b"http://", b"a", b":", b"@", b"%", b"["))).map(
            b"".join
        ),
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E)).map(str.encode),
    ),
    st.integers(0, 1),
    st.booleans(),
    st.one_of(st.none(), st.just(b"a")),
)
@steady
def test_any_target_has_a_form_or_is_refused(
    method: bytes, target: bytes, minor: int, chunked: bool, host: bytes | None
) -> None:
    """RFC 9112, 3.2: what comes out is in origin form, or the asterisk of OPTIONS."""
    assume(target)
    fields = Fields()
    fields.chunked = chunked
    fields.host = host
    with contextlib.suppress(BadRequest):
        onward, after = check_request(method, target, minor, fields)
        assert onward.startswith(b"/") or (onward == b"*" and method == b"OPTIONS")
        assert after.host is not None or minor == 0


# -- other parsers ---------------------------------------------------------------------------------


class Reading(NamedTuple):
    """What a parser makes of a request."""

    method: bytes
    target: bytes
    body: bytes
    fields: list[tuple[bytes, bytes]]


CHUNKED: Final = b"3\r\nabc\r\n0\r\n\r\n"
NEXT: Final = b"GET /next HTTP/1.1\r\nHost: n\r\n\r\n"


def by_h11(wire: bytes) -> Reading:
    """As h11 reads it; `wire` ends with NEXT, which must be left over."""
    server = h11.Connection(h11.SERVER)
    server.receive_data(wire)
    head = server.next_event()
    assert isinstance(head, h11.Request)
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert server.trailing_data[0] == NEXT
    return Reading(head.method, head.target, body, list(head.headers))


class Llhttp:
    """Callbacks of httptools: collects the first request, and counts those that ended."""

    def __init__(self) -> None:
        self.target = b""
        self.body = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.ended = 0

    def on_url(self, url: bytes) -> None:
        """Part of the target."""
        if not self.ended:
            self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A field."""
        if not self.ended:
            self.fields.append((name.lower(), value.rstrip(b" \t")))

    def on_body(self, data: bytes) -> None:
        """Part of the body."""
        assert not self.ended
        self.body += data

    def on_message_complete(self) -> None:
        """The end of a request."""
        self.ended += 1


def by_llhttp(message: bytes) -> Reading:
    """As llhttp reads it; it must end with the last byte of `message`, and not before."""
    seen = Llhttp()
    parser = httptools.HttpRequestParser(seen)
    parser.feed_data(message[:-1])
    assert seen.ended == 0
    parser.feed_data(message[-1:])
    assert seen.ended == 1
    return Reading(bytes(parser.get_method()), seen.target, seen.body, seen.fields)


methods = st.sampled_from((b"GET", b"POST", b"OPTIONS", b"PUT", b"DELETE", b"HEAD", b"PATCH"))
targets = st.sampled_from(
    (
        b"/",
        b"/a?b=c",
        b"//a/",
        b"/%41;x",
        b"/a#b",
        b"*",
        b"http://b/c",
        b"http://u@b/",
        b"a",
        b"/\xe4",
    )
)
ends = st.sampled_from((b"\r\n",) * 12 + (b"\n", b"\r", b"\r\r\n", b"\r\n "))
colons = st.sampled_from((b":", b": ", b": ", b": ", b":\t ", b": ", b" :"))
NAMED: Final = (
    *(
        (b"Content-Length", value)
        for value in (b"3", b"3", b"03", b"+3", b"3, 3", b"3 ", b"0", b"")
    ),
    *((b"TRANSFER-encoding", value) for value in (b"chunked", b"Chunked", b"gzip", b"chunked ")),
    *((b"Transfer-Encoding", value) for value in (b"gzip, chunked", b"\x0bchunked", b"chunked;a")),
    *((b"Connection", value) for value in (b"close", b"x-a, keep-alive", b"Upgrade", b"te")),
    *((b"Host", b"h"), (b"Upgrade", b"h2c"), (b"Expect", b"100-continue"), (b"TE", b"trailers")),
    *((b"X-A", value) for value in (b"", b"1", b"a\tb", b"\xff", b"a\x00b", b"a\rb", b"a\nb")),
    *(
        (b"X-Forwarded-For", b"1.2.3.4"),
        (b"X B", b"1"),
        (b"", b"1"),
        (b"X-C", b"Content-Length: 9"),
    ),
)


TAME: Final = (
    *((b"Content-Length", value) for value in (b"3", b"03", b"0")),
    *((b"TRANSFER-encoding", value) for value in (b"chunked", b"Chunked")),
    *((b"Connection", value) for value in (b"close", b"x-a, keep-alive", b"Upgrade", b"te, x-c")),
    *((b"Upgrade", b"h2c"), (b"Expect", b"100-continue"), (b"TE", b"trailers")),
    *((b"X-A", value) for value in (b"", b"1", b"a\tb", b"\xff")),
    *((b"X-Forwarded-For", b"1.2.3.4"), (b"X-C", b"Content-Length: 9")),
)
tame_targets = st.sampled_from((b"/", b"/a?b=c", b"//a/", b"/%41;x", b"http://b/c", b"http://b?c"))
spaces = st.sampled_from((b":", b": ", b":\t "))


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Heads, half of them good, and half with here and there what smuggling is tried with."""
    if draw(st.booleans()):
        fields = draw(st.lists(st.sampled_from(TAME), max_size=5, unique_by=lambda field: field[0]))
        target, colon, end = draw(tame_targets), spaces, st.sampled_from((b"\r\n", b" \r\n"))
    else:
        fields = draw(st.lists(st.sampled_from(NAMED), max_size=3))
        target, colon, end = draw(targets), colons, ends
    version = draw(st.sampled_from((b"HTTP/1.1",) * 6 + (b"HTTP/1.0", b"HTTP/1.2")))
    lines = [name + draw(colon) + value + draw(end) for name, value in [(b"Host", b"h"), *fields]]
    section = b"".join(draw(st.permutations(lines)))
    head: bytes = draw(methods) + b" " + target + b" " + version + b"\r\n" + section + b"\r\n"
    return head


def accepted_alike(head: bytes) -> bool:
    """False when we refuse the head; otherwise the others must read it as we do."""
    match = REQUEST_LINE.match(head)
    if match is None or head.find(HEAD_END, match.end() - 2) != len(head) - 4:
        return False
    line, method, target, minor = match.groups()
    section = head[len(line) : -2]
    try:
        fields = parse_request_fields(section, 100)
        onward, fields = check_request(method, target, int(minor), fields)
    except BadRequest:
        return False
    body = b"abc" if fields.chunked or fields.content_length else b""
    framed = CHUNKED if fields.chunked else body
    came = by_h11(head + framed + NEXT)
    assert (came.method, came.target, came.body) == (method, target, body)
    if fields.upgrade is None:  # llhttp would stop there; what goes on has no Upgrade
        came = by_llhttp(head + framed)
        assert (came.method, came.target, came.body) == (method, target, body)

    sent = b"%b %b HTTP/1.1\r\n%b" % (method, onward, fields.onward)
    sent += b"Transfer-Encoding: chunked\r\n" if fields.chunked else b""
    message = sent + b"\r\n" + framed
    for went in (by_h11(message + NEXT), by_llhttp(message)):
        assert (went.method, went.target, went.body) == (method, onward, body)
        names = {name for name, _ in went.fields}
        assert not names & {b"connection", b"upgrade", b"te", b"x-forwarded-for"}
        hosts = [value for name, value in went.fields if name == b"host"]
        assert hosts == [fields.host]
    return True


def test_what_we_accept_the_others_read_alike() -> None:
    """The head as it came, and the head as it goes on: same target, same body, same end."""
    accepted = set()

    @given(heads())
    @steady
    def compare(head: bytes) -> None:
        if accepted_alike(head):
            accepted.add(head)

    compare()
    assert len(accepted) >= 50, "too few heads were good enough to be compared"
