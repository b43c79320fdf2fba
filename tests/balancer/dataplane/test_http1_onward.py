"""What of a head goes on to the next hop, byte for byte, and how long it is remembered."""

from __future__ import annotations

from typing import Final

import pytest

from services.balancer.dataplane.errors import BadRequest, BadResponse, Refusal
from services.balancer.dataplane.http1 import (
    FieldCache,
    check_request,
    parse_request_fields,
    parse_response_fields,
    request_lines,
    response_has_body,
    response_lines,
)

LINES: Final = 20

HOP_BY_HOP: Final = (
    b"Keep-Alive: timeout=5\r\n",
    b"PROXY-Connection: keep-alive\r\n",
    b"Proxy-Authenticate: Basic\r\n",
    b"Transfer-Encoding: Chunked \r\n",
    b"upgrade: h2c\r\n",
    b"Connection: Upgrade, close, X-One,x-two ,,\tTE\r\n",
    b"connection:keep-alive\r\n",
    b"X-One: 1\r\n",
    b"x-TWO:\r\n",
)
ONLY_IN_REQUESTS: Final = (b"TE: trailers\r\n", b"Proxy-Authorization: Basic x\r\n")
END_TO_END: Final = (
    b"X-Three: 3\r\n",
    b"X-One-More: 1\r\n",
    b"Cache-Control: max-age=0\r\n",
    b"A: Connection: x\r\n",
    b"Keep-Alive-Not: 1\r\n",
    b"X-Three:again\t\r\n",
    b"Via: 1.0 p\r\n",
    b"Trailer: Digest\r\n",
)


def interleaved(*groups: tuple[bytes, ...]) -> bytes:
    """Lines of all groups, in turns."""
    longest = max(map(len, groups))
    return b"".join(group[at] for at in range(longest) for group in groups if at < len(group))


def test_of_a_request_exactly_the_hops_own_lines_are_taken_off() -> None:
    """RFC 9110, 7.6.1: the others go on as they came, in their order."""
    kept = (b"Host: a\r\n", *END_TO_END)
    for hop in (HOP_BY_HOP + ONLY_IN_REQUESTS, (HOP_BY_HOP + ONLY_IN_REQUESTS)[::-1]):
        for section in (interleaved(kept, hop), interleaved(hop, kept)):
            fields = parse_request_fields(section, 100)
            assert fields.onward == b"".join(kept)
            assert (fields.close, fields.keep_alive, fields.chunked) == (True, True, True)
            assert (fields.upgrade, fields.host, fields.content_length) == (b"h2c", b"a", None)


def test_of_a_response_exactly_the_hops_own_lines_are_taken_off() -> None:
    """RFC 9110, 7.6.1, and the load report, which was meant for us."""
    report = (b"Endpoint-Load-Metrics: TEXT cpu_utilization=0.3 \r\n",)
    kept = (*END_TO_END, b"Set-Cookie: a\r\n", b"Set-Cookie: b\r\n")
    for section in (interleaved(kept, HOP_BY_HOP, report), interleaved(report, HOP_BY_HOP, kept)):
        fields = parse_response_fields(section, 100)
        assert fields.onward == b"".join(kept)
        assert (fields.close, fields.keep_alive, fields.chunked) == (True, True, True)
        assert fields.content_length is None


def test_the_clients_forwarding_lines_are_put_aside() -> None:
    """RFC 7239, 8.1: they are believed of a trusted proxy only."""
    lines = (
        b"X-Forwarded-For: 1.2.3.4\r\n",
        b"x-forwarded-proto:https\r\n",
        b"X-Forwarded-Host: a\r\n",
        b"X-Forwarded-Port: 1\r\n",
        b"X-Real-IP: 1.2.3.4\r\n",
        b"Forwarded: for=1.2.3.4\r\n",
        b"X-Request-ID: 7\r\n",
        b"X-Forwarded-For: 5.6.7.8 \r\n",
    )
    kept = (b"Host: a\r\n", b"X-Forwarded-Else: 1\r\n", b"A: X-Real-IP: 1\r\n")
    for section in (interleaved(lines, kept), interleaved(kept, lines)):
        fields = parse_request_fields(section, 100)
        assert fields.onward == b"".join(kept)
        assert fields.forwarding == b"".join(lines)


def test_length_expectation_and_host_go_on() -> None:
    """What the next hop needs to know, too."""
    section = b"Expect: 100-Continue\r\nHost: a\r\nContent-Length:\t007 \r\n"
    fields = parse_request_fields(section, LINES)
    assert fields.onward == section
    assert fields.content_length == 7
    assert fields.expect_continue
    assert parse_response_fields(b"Content-Length: 7\r\n", LINES).onward == b"Content-Length: 7\r\n"
    most = parse_request_fields(b"Content-Length: 999999999999999999\r\n", LINES)
    assert most.content_length == 10**18 - 1


def test_a_section_of_the_most_lines_allowed() -> None:
    """The bound itself is served."""
    assert parse_request_fields(b"A: b\r\n" * LINES, LINES).onward == b"A: b\r\n" * LINES
    with pytest.raises(BadResponse):
        parse_response_fields(b"A: b\r\n" * (LINES + 1), LINES)


def test_the_absolute_form_does_not_change_a_section_that_is_kept() -> None:
    """Sections are shared between requests: a rewritten Host is a copy's."""
    fields = parse_request_fields(b"Host: x\r\n", LINES)
    _, changed = check_request(b"GET", b"http://y/", 1, fields)
    assert (fields.host, fields.onward) == (b"x", b"Host: x\r\n")
    assert (changed.host, changed.onward) == (b"y", b"Host: y\r\n")


@pytest.mark.parametrize(
    ("method", "status", "body"),
    [
        (b"GET", 200, True),
        (b"HEAD", 200, False),
        (b"GET", 100, False),
        (b"GET", 199, False),
        (b"GET", 204, False),
        (b"GET", 205, True),
        (b"GET", 304, False),
        (b"HEAD", 500, False),
        (b"POST", 404, True),
    ],
)
def test_which_responses_have_a_body(method: bytes, status: int, body: bool) -> None:
    """RFC 9112, 6.3, cases 1 and 2."""
    assert response_has_body(method, status) is body


# -- the cache -------------------------------------------------------------------------------------


def test_the_cache_keeps_what_was_parsed_under_its_own_bytes() -> None:
    """Known sections can be asked for directly; another spelling is another section."""
    cache = FieldCache(parse_request_fields, request_lines(), LINES)
    section = b"Host: a\r\n"
    assert cache.known.get(section) is None
    fields = cache.parse(section)
    assert cache.known[section] is fields
    assert cache.known.get(b"host: a\r\n") is None


def test_the_cache_is_bounded() -> None:
    """Neither many sections nor long ones fill the memory."""
    cache = FieldCache(parse_request_fields, request_lines(), LINES)
    for number in range(3 * FieldCache.CACHED):
        cache.parse(b"Host: a%d\r\n" % number)
        assert 1 <= len(cache.known) <= FieldCache.CACHED
    for length, kept in ((FieldCache.CACHED_BYTES, True), (FieldCache.CACHED_BYTES + 1, False)):
        section = b"A: " + b"b" * (length - 5) + b"\r\n"
        assert cache.parse(section).onward == section
        assert (section in cache.known) is kept


def test_the_cache_keeps_no_errors_and_its_bound_of_lines() -> None:
    """A refused section is refused again."""
    requests = FieldCache(parse_request_fields, request_lines(), 1)
    for _ in range(2):
        with pytest.raises(BadRequest):
            requests.parse(b"A : b\r\n")
        with pytest.raises(BadRequest) as refused:
            requests.parse(b"A: b\r\nC: d\r\n")
        assert refused.value.refusal is Refusal.HEAD_TOO_LARGE
    responses = FieldCache(parse_response_fields, response_lines(), 1)
    with pytest.raises(BadResponse):
        responses.parse(b"A : b\r\n")
    assert not requests.known
    assert not responses.known
