"""`host:port` as text and as data. Pure; used by the configuration, discovery and the admin API."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

# RFC 1123 labels, and the underscore that compose and DNS-SD names use.
_NAME: Final = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?"
)


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """Where a target listens: `host` is an IP address, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_ip(host: str) -> bool:
    """Whether `host` is an IPv4 or IPv6 address (no brackets, no zone)."""
    try:
        return not (isinstance(found := ip_address(host), IPv6Address) and found.scope_id)
    except ValueError:
        return False


def is_name(host: str) -> bool:
    """Whether `host` can be a host name. A name of digits and dots is a broken address instead."""
    return _NAME.fullmatch(host) is not None and not re.fullmatch(r"[0-9.]+", host)


def split(text: str) -> tuple[str, int]:
    """`host:port` or `[v6]:port` to host and port (0-65535); ValueError says what is wrong."""
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("has no port; write host:port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"an IPv6 address stands in brackets; write [{host}]:{port}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65_535):
        raise ValueError(f"port {port!r} is not a number from 0 to 65535")
    return host, int(port)


def parse_target(text: str) -> Address:
    """A target's address: an IP address and a port from 1. ValueError says what is wrong."""
    host, port = split(text)
    if not is_ip(host):
        if is_name(host):
            raise ValueError(
                f"{host!r} is a name, and a target has an IP address; "
                f"for names use `dns: {{name: {host}, port: {port}}}`"
            )
        raise ValueError(f"{host!r} is not an IP address")
    if port == 0:
        raise ValueError("port 0 is no target; ports go from 1 to 65535")
    return Address(str(ip_address(host)), port)
