"""The closed list of differences: what others refuse or read otherwise on the way in, and why.

Only on the way in: what goes out is asked about whenever what came could be (requests: always).
"""

from __future__ import annotations

import re
from typing import Final

_SPACED_EXTENSION: Final = re.compile(rb"\r\n[0-9A-Fa-f]+(?:[ \t]+;|;[^\r]*[ \t\"])")
_UPGRADE: Final = re.compile(rb"(?i)\r\nupgrade:")
_TAB_AFTER_CODING: Final = re.compile(rb"(?i)\r\ntransfer-encoding:[^\r]*\t *\r")
_KNOWN: Final = frozenset({b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH"})
_ODD_TARGET: Final = re.compile(rb"[^ ]+ [a-zA-Z]+://[^ /?]*[^ /?a-zA-Z0-9.:\[\]-]")


def with_known_method(message: bytes) -> bytes:
    """The message with a method that llhttp has in its list (RFC 9110, 9.1: methods are open)."""
    method, space, rest = message.partition(b" ")
    return message if method in _KNOWN else b"PUT" + space + rest


def request_unread_by_h11(raw: bytes) -> str | None:
    """Why h11 need not read this request as we do; None when it must."""
    if _SPACED_EXTENSION.search(raw):
        # RFC 9112, 7.1.1: space there is to be read; h11 refuses it before the semicolon. What
        # goes on has no extension then.
        return "space in a chunk extension"
    return None


def request_unread_by_llhttp(raw: bytes) -> str | None:
    """Why llhttp need not read this request as we do."""
    if _UPGRADE.search(raw):
        # RFC 9110, 7.8: we do not take up the offer and go on; llhttp leaves HTTP after the head.
        return "an offer to upgrade"
    if _SPACED_EXTENSION.search(raw):
        # As above; and llhttp refuses some quoted strings.
        return "space or a quoted string in a chunk extension"
    if _TAB_AFTER_CODING.search(raw):
        # RFC 9110, 5.5: optional white space is tabs, too; llhttp takes spaces alone there.
        return "a tab after the transfer coding"
    if _ODD_TARGET.match(raw):
        # RFC 9112, 3.2.2: llhttp checks the bytes of an absolute form, and of some paths, closer.
        return "bytes in a target"
    return None


def response_unread_by_h11(wire: bytes) -> str | None:
    """Why h11 need not read this response as we do."""
    return "space in a chunk extension" if _SPACED_EXTENSION.search(wire) else None


def response_unread_by_llhttp(method: bytes, wire: bytes, *, kept: bool) -> str | None:
    """Why llhttp need not read this response as we do."""
    if method == b"HEAD" or re.match(rb"(?s)(?:HTTP/1\.1 1.*)?HTTP/1\.[01] (?:1|204|304)", wire):
        # RFC 9112, 6.3: httptools can't be told the method, nor skips what a 304 announces, and
        # counts 1xx as messages.
        return "without content by its method or status"
    if _UPGRADE.search(wire):
        return "an offer to upgrade"
    if _SPACED_EXTENSION.search(wire):
        return "space or a quoted string in a chunk extension"
    if _TAB_AFTER_CODING.search(wire):
        return "a tab after the transfer coding"
    if not kept:
        # We take the answer and drop the connection with all that follows; llhttp reads on, into
        # bytes that belong to nothing.
        return "bytes after the answer"
    return None
