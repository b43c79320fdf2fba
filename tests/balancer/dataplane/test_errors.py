"""Answers of our own are whole HTTP responses, and every refusal has a status that fits."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime
from http import HTTPStatus

import h11
import pytest

from services.balancer.dataplane.errors import (
    RETRY_AFTER_S,
    Fault,
    Refusal,
    answer,
    response,
)

every_refusal = pytest.mark.parametrize("refusal", Refusal, ids=lambda refusal: refusal.code)


def read(wire: bytes, method: str = "GET") -> tuple[h11.Response, dict[str, str], bytes]:
    """A response as another implementation reads it; nothing may be left over."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    head = client.next_event()
    assert isinstance(head, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    fields = {name.decode(): value.decode() for name, value in head.headers}
    assert len(fields) == len(head.headers), "a field twice"
    return head, fields, body


@every_refusal
def test_a_refusal_has_an_error_status_that_exists(refusal: Refusal) -> None:
    """RFC 9110, 15.5 and 15.6; codes are words for programs, each its own."""
    assert 400 <= HTTPStatus(refusal.status) < 600
    assert refusal.code == refusal.code.lower().replace(" ", "_")
    assert len({other.code for other in Refusal}) == len(Refusal)


@pytest.mark.parametrize("close", [True, False], ids=["close", "keep"])
@every_refusal
def test_an_answer_is_a_whole_response(refusal: Refusal, close: bool) -> None:
    """RFC 9112, 4 and 6.2: another parser reads it to its end by its Content-Length."""
    wire = answer(refusal, 'what "it" was', "r-1", close=close)
    head, fields, body = read(wire)
    assert head.status_code == refusal.status
    assert head.reason == HTTPStatus(refusal.status).phrase.encode()
    assert json.loads(body) == {
        "error": {"code": refusal.code, "message": 'what "it" was', "request_id": "r-1"}
    }
    assert fields["content-length"] == str(len(body))
    assert fields["content-type"] == "application/json"
    assert parsedate_to_datetime(fields["date"]).utcoffset() is not None
    assert fields.get("connection") == ("close" if close else None)


@every_refusal
def test_only_a_503_says_when_to_come_back(refusal: Refusal) -> None:
    """RFC 9110, 10.2.3."""
    _, fields, _ = read(answer(refusal, "x", "r", close=False))
    expected = str(RETRY_AFTER_S) if refusal.status == 503 else None
    assert fields.get("retry-after") == expected


@every_refusal
def test_the_answer_to_head_is_the_head_of_the_answer_to_get(refusal: Refusal) -> None:
    """RFC 9110, 9.3.2: same fields, Content-Length included, and no body."""
    wire = answer(refusal, "x", "r", close=False, head_only=True)
    _, fields, body = read(wire, "HEAD")
    assert body == b""
    assert wire.endswith(b"\r\n\r\n")
    _, of_get, body_of_get = read(answer(refusal, "x", "r", close=False))
    assert {**fields, "date": ""} == {**of_get, "date": ""}
    assert fields["content-length"] == str(len(body_of_get))


def test_text_of_any_alphabet_is_counted_in_bytes() -> None:
    """RFC 9110, 8.6: Content-Length counts octets."""
    _, fields, body = read(response(200, "text/plain; charset=utf-8", "grüß €".encode()))
    assert body.decode() == "grüß €"
    assert fields["content-length"] == "10"


def test_a_status_without_a_name_is_a_response_still() -> None:
    """RFC 9112, 4: the reason phrase may be empty, its space may not be missing."""
    wire = response(299, "text/plain", b"", extra="X-A: b\r\n")
    assert wire.startswith(b"HTTP/1.1 299 \r\n")
    head, fields, _ = read(wire)
    assert (head.status_code, head.reason, fields["x-a"]) == (299, b"", "b")


def test_only_a_time_out_of_the_target_is_a_504() -> None:
    """RFC 9110, 15.6.3 and 15.6.5."""
    assert {fault: fault.refusal.status for fault in Fault} == {
        Fault.CONNECT: 502,
        Fault.STALE: 502,
        Fault.BROKEN: 502,
        Fault.TIMEOUT: 504,
        Fault.STARVED: 503,
    }


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_content_has_none(status: int) -> None:
    """RFC 9112, 6.3: text configured with one would be read as the next response."""
    wire = response(status, "text/plain", b"HTTP/1.1 200 OK")
    assert b"content-" not in wire.lower()
    assert wire.index(b"\r\n\r\n") == len(wire) - 4
    assert read(wire)[0].status_code == status
