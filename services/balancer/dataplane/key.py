"""What a policy such as consistent_hash goes by: a header, a cookie, the client's address. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from services.balancer.dataplane.http1 import Fields

_FORWARDED_FOR: Final = re.compile(rb"(?i:x-forwarded-for):([^\r]*)\r")
KeyOf = Callable[[Fields, str, bool], bytes]


def reader(key_from: str) -> KeyOf:
    """A function from (a request's fields, its peer's address, is that a trusted proxy) to the key.

    `key_from` is "client", "header:NAME" or "cookie:NAME". A request that lacks it gives b"".
    """
    kind, _, name = key_from.partition(":")
    if kind == "client":
        return client
    pattern = re.compile((_COOKIE if kind == "cookie" else _HEADER) % re.escape(name.encode()))

    def find(fields: Fields, peer: str, trusted: bool) -> bytes:
        match = pattern.search(fields.onward) or pattern.search(fields.forwarding)
        return match[1] if match is not None else b""

    return find


def client(fields: Fields, peer: str, trusted: bool) -> bytes:
    """The peer, or for whom a trusted proxy says it speaks: the last address of the chain."""
    if trusted:
        chain = b",".join(_FORWARDED_FOR.findall(fields.forwarding))
        address = chain.rpartition(b",")[2].strip(b" \t")
        if address:
            return address
    return peer.encode()


_HEADER: Final = rb"(?:\A|\n)(?i:%b):[ \t]*+([^\r]*?)[ \t]*+\r"
# RFC 6265, 4.2.1: pairs with "; " between them; names in their own case.
_COOKIE: Final = rb"(?:\A|\n)(?i:cookie):(?:[^\r]*;)?[ \t]*+%b=([^;\r]*)"
