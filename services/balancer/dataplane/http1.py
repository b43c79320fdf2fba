"""HTTP/1.1 heads: the grammar of RFC 9112 as compiled expressions, and what a head says of framing.

No I/O. A head is matched whole or refused; nothing is guessed, nothing repaired. What is forwarded
is made of bytes that were validated here. Field sections repeat from request to request on the same
connection, so a parsed section is kept for a while under its own bytes (`FieldCache`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import copy
from typing import Final

from services.balancer.dataplane.errors import BadRequest, BadResponse, Refusal
from services.balancer.dataplane.lines import TOKEN, VALUE, FieldLines, split, without

# RFC 9112, 3. The target is any run of visible ASCII without a fragment; its form is checked later.
# A head is its first line, then lines that are not empty up to one that is; what is in those is
# checked when the section is parsed. Groups: line, method, target, minor.
REQUEST_LINE: Final = re.compile(rb"((" + TOKEN + rb") ([\x21\x22\x24-\x7e]++) HTTP/1\.([01])\r\n)")
BARE_LINE_FEED: Final = re.compile(rb"(?<!\r)\n")
# RFC 9112, 4. The space after the status code may be missing when there is no reason phrase.
# Groups: line, minor, status.
STATUS_LINE: Final = re.compile(rb"(HTTP/1\.([01]) ([1-5][0-9][0-9])(?: " + VALUE + rb")?\r\n)")
STATUS: Final = {b"%d" % status: status for status in range(100, 600)}
# RFC 9110, 7.2 and RFC 3986, 3.2.2: reg-name or IP-literal, and a port.
_HOST: Final = re.compile(
    rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]{0,5})?"
)
_ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#@]+)([/?].*)?")
_DIGITS: Final = re.compile(rb"[0-9]{1,18}")  # 18 digits stay below 2**63

HEAD_END: Final = b"\r\n\r\n"
SLASH: Final = 0x2F
COLON: Final = 0x3A
_UNKNOWN_CODING: Final = "Transfer-Encoding other than chunked"


# RFC 9110, 7.6.1, and the fields that this hop sets itself.
_REQUEST_NOTED: Final = frozenset(
    {
        *(b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade"),
        *(b"te", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate"),
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-real-ip", b"forwarded", b"x-request-id", b"via"),
    }
)
_RESPONSE_NOTED: Final = frozenset(
    {
        *(b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"keep-alive"),
        *(b"proxy-connection", b"proxy-authenticate", b"endpoint-load-metrics"),
    }
)
_KEPT: Final = frozenset({b"host", b"content-length", b"expect", b"via"})
_FORWARDING: Final = frozenset(
    {
        *(b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-real-ip", b"forwarded", b"x-request-id"),
    }
)
# A Connection field that names one of these is refused: it asks a hop to unframe the message.
_NEVER_NOMINATED: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"via", b"trailer"}
)


NONE_NOMINATED: Final[frozenset[bytes]] = frozenset()


class Fields:
    """What a field section says, and the part of it that goes on to the next hop."""

    __slots__ = (
        "chunked",
        "close",
        "content_length",
        "expect_continue",
        "forwarding",
        "host",
        "keep_alive",
        "nominated",
        "odd",
        "onward",
        "upgrade",
    )

    def __init__(self) -> None:
        self.onward = b""  # lines for the next hop, each ended
        self.forwarding = b""  # the client's own forwarding lines, for a trusted proxy only
        self.host: bytes | None = None
        self.content_length: int | None = None
        self.chunked = False
        self.close = False  # Connection: close
        self.keep_alive = False  # Connection: keep-alive, which HTTP/1.0 needs
        self.expect_continue = False
        self.upgrade: bytes | None = None  # protocols offered, when Connection names the offer
        self.odd = False  # a request that needs a closer look: no Host, or an offer to upgrade
        # Names that Connection gave, lower-case: they go from the trailer section, too.
        self.nominated: frozenset[bytes] = NONE_NOMINATED


def _framing(fields: Fields, name: bytes, value: bytes) -> str | None:
    """Take in Content-Length and Transfer-Encoding (RFC 9112, 6); the fault, if there is one."""
    if name == b"content-length":
        if fields.content_length is not None:
            return "more than one Content-Length"
        if not _DIGITS.fullmatch(value):
            return "Content-Length is not a number we can hold"
        fields.content_length = int(value)
    elif fields.chunked:
        return "more than one Transfer-Encoding"
    elif value.lower() != b"chunked":
        return _UNKNOWN_CODING
    else:
        fields.chunked = True
    if fields.chunked and fields.content_length is not None:
        return "both Content-Length and Transfer-Encoding"
    return None


def _nominated(section: bytes, names: set[bytes]) -> bytes:
    """The section without the lines that Connection named (RFC 9110, 7.6.1)."""
    lines = section.split(b"\r\n")
    return b"\r\n".join(x for x in lines if x.partition(b":")[0].lower() not in names)


def _connection_options(fields: Fields, value: bytes) -> set[bytes]:
    options = {option.strip(b" \t").lower() for option in value.split(b",")}
    fields.close = fields.close or b"close" in options
    fields.keep_alive = fields.keep_alive or b"keep-alive" in options
    return options - {b"", b"close", b"keep-alive", b"te"}


def _take_offer(fields: Fields, value: bytes) -> None:
    fields.upgrade = value if fields.upgrade is None else fields.upgrade + b"," + value


def _settle_offer(fields: Fields, nominated: set[bytes]) -> None:
    """An offer counts only when Connection names it (RFC 9110, 7.8); it never goes on as it is."""
    if b"upgrade" in nominated:
        nominated.discard(b"upgrade")
    else:
        fields.upgrade = None


def _take_host(fields: Fields, value: bytes) -> None:
    if fields.host is not None:
        raise BadRequest(Refusal.MALFORMED, "more than one Host")
    if _HOST.fullmatch(value) is None:
        raise BadRequest(Refusal.MALFORMED, "Host is not a host")
    fields.host = value


def _take_expectation(fields: Fields, value: bytes) -> None:
    if value.lower() != b"100-continue":
        raise BadRequest(Refusal.EXPECTATION, "an expectation we do not know")
    fields.expect_continue = True


def _take_framing(fields: Fields, name: bytes, value: bytes) -> None:
    fault = _framing(fields, name, value)
    if fault is not None:
        unknown = fault == _UNKNOWN_CODING
        raise BadRequest(Refusal.CODING if unknown else Refusal.MALFORMED, fault)


def request_lines() -> FieldLines:
    """Nothing known yet."""
    return FieldLines(_REQUEST_NOTED)


def response_lines() -> FieldLines:
    """Nothing known yet."""
    return FieldLines(_RESPONSE_NOTED)


def parse_request_fields(section: bytes, max_count: int, lines: FieldLines | None = None) -> Fields:
    """A request's field section: lines that each end in CRLF, without the empty one.

    `lines` remembers. Raises BadRequest (400, 417, 431, 501) on anything that the grammar or
    framing rules forbid.
    """
    lines = lines or request_lines()
    texts = split(section)
    noted = lines.noted(texts)
    if noted is None:
        raise BadRequest(Refusal.MALFORMED, "a header line breaks the grammar")
    if len(texts) > max_count:
        raise BadRequest(Refusal.HEAD_TOO_LARGE, f"more than {max_count} header lines")
    fields = Fields()
    dropped: set[bytes] = set()
    nominated: set[bytes] = set()
    forwarding = b""
    for line in noted:
        name = line.name
        value = line.value
        if name == b"host":
            _take_host(fields, value)
        elif name in (b"content-length", b"transfer-encoding"):
            _take_framing(fields, name, value)
        elif name == b"connection":
            nominated |= _connection_options(fields, value)
        elif name == b"expect":
            _take_expectation(fields, value)
        elif name == b"upgrade":
            _take_offer(fields, value)
        elif name in _FORWARDING:
            forwarding += line.text + b"\r\n"
        if name not in _KEPT:
            dropped.add(line.text)
    _settle_offer(fields, nominated)
    fields.odd = fields.host is None or fields.upgrade is not None
    if nominated & _NEVER_NOMINATED:
        raise BadRequest(Refusal.MALFORMED, "Connection names a field that may not be removed")
    onward = without(texts, dropped) if dropped else section
    if nominated:
        onward = _nominated(onward, nominated)
        fields.nominated = frozenset(nominated)
    fields.onward = onward
    fields.forwarding = forwarding
    return fields


def parse_response_fields(
    section: bytes, max_count: int, lines: FieldLines | None = None
) -> Fields:
    """A response's field section; as `parse_request_fields`, but the fault is the target's.

    Raises BadResponse.
    """
    lines = lines or response_lines()
    texts = split(section)
    noted = lines.noted(texts)
    if noted is None:
        raise BadResponse("a header line breaks the grammar")
    if len(texts) > max_count:
        raise BadResponse(f"more than {max_count} header lines")
    fields = Fields()
    dropped: set[bytes] = set()
    nominated: set[bytes] = set()
    for line in noted:
        name = line.name
        value = line.value
        if name in (b"content-length", b"transfer-encoding"):
            fault = _framing(fields, name, value)
            if fault is not None:
                raise BadResponse(fault)
        elif name == b"connection":
            nominated |= _connection_options(fields, value)
        elif name == b"upgrade":
            _take_offer(fields, value)
        if name != b"content-length":
            dropped.add(line.text)
    _settle_offer(fields, nominated)
    if nominated & _NEVER_NOMINATED:
        raise BadResponse("Connection names a field that may not be removed")
    onward = without(texts, dropped) if dropped else section
    if nominated:
        onward = _nominated(onward, nominated)
        fields.nominated = frozenset(nominated)
    fields.onward = onward
    return fields


class FieldCache:
    """Parsed field sections by their own bytes; forgets everything when full.

    `known` may be asked directly; what it lacks, `parse` finds out. Bounded: at most `CACHED`
    sections of at most `CACHED_BYTES` each. A section that fails to parse is never kept.
    """

    CACHED: Final = 512
    CACHED_BYTES: Final = 4096

    __slots__ = ("_lines", "_max_count", "_parse", "known")

    def __init__(
        self,
        parse: Callable[[bytes, int, FieldLines], Fields],
        lines: FieldLines,
        max_count: int,
    ) -> None:
        self.known: dict[bytes, Fields] = {}
        self._parse = parse
        self._lines = lines
        self._max_count = max_count

    def parse(self, section: bytes) -> Fields:
        """What `parse(section)` says, kept for the next one who asks."""
        fields = self._parse(section, self._max_count, self._lines)
        if len(section) <= self.CACHED_BYTES:
            if len(self.known) >= self.CACHED:
                self.known.clear()
            self.known[section] = fields
        return fields


UNUSUAL: Final = frozenset({b"CONNECT", b"TRACE"})  # methods that are not forwarded


def check_request(method: bytes, target: bytes, minor: int, fields: Fields) -> tuple[bytes, Fields]:
    """What request line and fields must be together (RFC 9112, 3.2 and 6.1).

    Gives the target in origin form (or `*`) and the fields with the host that counts. Raises
    BadRequest.
    """
    if minor == 1 and fields.host is None:
        raise BadRequest(Refusal.MALFORMED, "no Host")
    if minor == 0 and fields.chunked:
        raise BadRequest(Refusal.MALFORMED, "Transfer-Encoding in HTTP/1.0")
    if method in UNUSUAL:
        raise BadRequest(Refusal.METHOD, f"{method.decode()} is not served")
    if minor == 0 and fields.expect_continue:  # RFC 9110, 10.1.1: to be ignored
        fields = _without(fields, b"expect")
        fields.expect_continue = False
    if target[0] == SLASH:
        return target, fields
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is not None:
        host: bytes = absolute[1]
        path: bytes | None = absolute[2]
        if _HOST.fullmatch(host) is None or host[0] == COLON:  # RFC 9110, 4.2.1: no empty host
            raise BadRequest(Refusal.MALFORMED, "the target's authority is not a host")
        if path is None:
            path = b"*" if method == b"OPTIONS" else b"/"  # RFC 9112, 3.2.4
        elif path[0] != SLASH:  # an empty path before a query is "/"
            path = b"/" + path
        return path, _with_host(fields, host)
    if target != b"*" or method != b"OPTIONS":
        raise BadRequest(Refusal.MALFORMED, "the request target has no form we know")
    return target, fields


def _without(fields: Fields, name: bytes) -> Fields:
    """A copy (the original may be remembered) that hands on no field of this name."""
    changed = copy(fields)
    changed.onward = _nominated(fields.onward, {name})
    return changed


def _with_host(fields: Fields, host: bytes) -> Fields:
    """The absolute form's authority replaces Host (RFC 9112, 3.2.2)."""
    changed = _without(fields, b"host")
    changed.host = host
    changed.onward = b"Host: " + host + b"\r\n" + changed.onward
    return changed


def response_has_body(method: bytes, status: int) -> bool:
    """Whether bytes of a body follow a response's head (RFC 9112, 6.3, cases 1 and 2)."""
    return not (method == b"HEAD" or status < 200 or status in (204, 304))
