"""How many connections each address of clients has open. No I/O."""

from __future__ import annotations

from ipaddress import IPv6Address


class Origins:
    """Counts by address; what a trusted proxy sends comes from nowhere (`""`) and is not counted.

    A holder of IPv6 has a whole /64 to call from, so that is one origin.
    """

    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, peer: str, most: int) -> str | None:
        """Count one more connection of `peer` in, for `dismiss`; None when it has `most` open."""
        origin = _network(peer) if ":" in peer else peer
        if not origin:
            return origin
        count = self._open.get(origin, 0)
        if count >= most:
            return None
        self._open[origin] = count + 1
        return origin

    def dismiss(self, origin: str | None) -> None:
        """Count it out again."""
        if origin:
            count = self._open[origin] - 1
            if count:
                self._open[origin] = count
            else:
                del self._open[origin]


def _network(peer: str) -> str:
    address = IPv6Address(peer.partition("%")[0])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{int(address) >> 64:x}::"
