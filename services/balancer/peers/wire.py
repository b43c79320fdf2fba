"""The UDP socket that balancers tell each other by. Never waits: what does not go out is lost.

Not an asyncio transport, which would keep what the kernel does not take; old news is worse than
none.
"""

from __future__ import annotations

import os
import socket
from typing import Final, Self

from services.balancer.address import split
from services.balancer.peers.tally import Place

READ_BYTES: Final = 2_048  # more than any datagram of ours, so that a longer one is seen to be
BUFFER_BYTES: Final = 1 << 20  # twenty balancers may tell all at once; the kernel may allow less
_MAPPED: Final = "::ffff:"  # RFC 4291, 2.5.5.2: an IPv4 address as an IPv6 socket sees it


class Wire:
    """A bound socket.

    Resource handling: holds a descriptor until `close`.
    Error handling: `open` raises OSError; sending and receiving never do, but count.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._maps = sock.family == socket.AF_INET6
        self.sent = 0
        self.dropped = 0  # the socket's buffer was full
        self.failed = 0  # the system refused to send
        self.errors: dict[Place, str] = {}  # of those whose last datagram failed

    @classmethod
    def open(cls, listen: str) -> Self:
        """Bind `host:port`, without a host every address. Raises OSError."""
        host, port = split(listen)
        family, kind, proto, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        sock = socket.socket(family, kind, proto)
        try:
            sock.setblocking(False)
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
            if family == socket.AF_INET6:  # `[::]` hears IPv4, too
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.bind(place)
        except OSError:
            sock.close()
            raise
        return cls(sock)

    def send(self, data: bytes, place: Place) -> None:
        """Now or never."""
        mapped = self._maps and ":" not in place[0]
        try:
            self.sock.sendto(data, (_MAPPED + place[0], place[1]) if mapped else place)
        except BlockingIOError:
            self.dropped += 1
        except OSError as error:  # no route, no permission, an address of the other family
            self.failed += 1
            self.errors[place] = os.strerror(error.errno) if error.errno else str(error)
        else:
            self.sent += 1
            if self.errors:
                self.errors.pop(place, None)

    def receive(self) -> tuple[bytes, Place] | None:
        """The next datagram and where it came from; None: no more for now."""
        try:
            received: tuple[bytes, Place] = self.sock.recvfrom(READ_BYTES)
        except BlockingIOError:
            return None
        except OSError:  # what an earlier datagram met on its way, reported late
            self.failed += 1
            return None
        if self._maps:
            data, place = received
            return data, (place[0].removeprefix(_MAPPED), place[1])
        return received

    def close(self) -> None:
        """Give the port back."""
        self.sock.close()
