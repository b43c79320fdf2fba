"""Whose fault, may it be tried again, and which status: one table.

`BadRequest` is the client's fault, `TargetFault` the target's. Foreign exceptions become one of
these where they are caught, and nothing else leaves the data plane's rooms.
"""

from __future__ import annotations

import enum
import json
from email.utils import formatdate
from http import HTTPStatus
from typing import Final


class Refusal(enum.Enum):
    """Why the balancer answers by itself. The value is (status, code in the JSON body)."""

    MALFORMED = (400, "malformed_request")
    NO_ROUTE = (404, "no_route")
    HEAD_TIMEOUT = (408, "request_timeout")
    TARGET_TOO_LONG = (414, "uri_too_long")
    EXPECTATION = (417, "expectation_failed")
    HEAD_TOO_LARGE = (431, "header_fields_too_large")
    INTERNAL = (500, "internal_error")
    METHOD = (501, "method_not_served")
    CODING = (501, "transfer_coding_not_served")
    VERSION = (505, "version_not_served")
    BAD_GATEWAY = (502, "bad_gateway")
    RETRY_BUDGET = (502, "retry_budget")
    NO_TARGET = (503, "no_eligible_target")
    FULL = (503, "cluster_full")
    QUEUE_TIMEOUT = (503, "queue_timeout")
    NO_TUNNEL = (503, "too_many_tunnels")
    STARVED = (503, "out_of_descriptors")
    DRAINING = (503, "draining")
    GATEWAY_TIMEOUT = (504, "gateway_timeout")

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.value[0]

    @property
    def code(self) -> str:
        """The word for programs."""
        return self.value[1]


RETRY_AFTER_S: Final = 1  # a health check's interval: something may have come back by then


class BadRequest(Exception):
    """The client sent what we do not serve; answered at once, and the connection closes."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.detail = detail


class Fault(enum.Enum):
    """How an attempt at a target failed."""

    CONNECT = "connect"  # no connection: nothing was sent
    STALE = "stale"  # a pooled connection closed before any answer: the target meant no harm
    BROKEN = "broken"  # reset, closed too early, or an answer against the grammar
    TIMEOUT = "timeout"
    STARVED = "starved"  # no connection, for want of a descriptor or a port of our own

    @property
    def refusal(self) -> Refusal:
        """What the client is told when there is no further attempt."""
        return _REFUSALS.get(self, Refusal.BAD_GATEWAY)

    @property
    def words(self) -> str:
        """The same for people."""
        return _WORDS[self]


_REFUSALS: Final = {
    Fault.TIMEOUT: Refusal.GATEWAY_TIMEOUT,
    Fault.STARVED: Refusal.STARVED,
}
_WORDS: Final = {
    Fault.STARVED: "the balancer has no descriptor left for a target",
    Fault.CONNECT: "no connection to the target",
    Fault.STALE: "the target's answer broke",
    Fault.BROKEN: "the target's answer broke",
    Fault.TIMEOUT: "the target did not answer in time",
}


class BadResponse(Exception):
    """The target's answer breaks the grammar or its own framing."""


def answer(
    refusal: Refusal, detail: str, request_id: str, *, close: bool, head_only: bool = False
) -> bytes:
    """A whole response in JSON. `detail` never repeats what the client sent."""
    body = json.dumps(
        {"error": {"code": refusal.code, "message": detail, "request_id": request_id}}
    ).encode()
    extra = f"Retry-After: {RETRY_AFTER_S}\r\n" if refusal.status == 503 else ""
    return response(
        refusal.status,
        "application/json",
        body,
        extra=extra,
        close=close,
        head_only=head_only,
    )


def response(
    status: int,
    content_type: str,
    body: bytes,
    *,
    extra: str = "",
    close: bool = False,
    head_only: bool = False,
) -> bytes:
    """A whole response of our own. `extra` is lines that each end in CRLF.

    204 and 304 have no content (RFC 9112, 6.3): a body given with them is not sent.
    """
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = ""  # a configured status that has no name
    content = f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    if status in (204, 304):
        content, body = "", b""
    head = (
        f"HTTP/1.1 {status} {reason}\r\nDate: {formatdate(usegmt=True)}\r\nServer: steelyard\r\n"
        f"{content}{extra}"
        f"{'Connection: close' + chr(13) + chr(10) if close else ''}\r\n"
    )
    return head.encode("latin-1") + (b"" if head_only else body)
