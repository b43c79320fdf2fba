"""The listening sockets and the open-file limit: what the supervisor takes from the machine.

The supervisor binds every socket once and keeps it open, one per data-plane process (SO_REUSEPORT
spreads connections over them), so that no accept queue dies with the process that served it.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import errno
import os
import resource
import socket
import struct
from dataclasses import dataclass
from typing import Final

from services.balancer.address import split
from services.balancer.config import Limits

BACKLOG: Final = 8_192  # the kernel cuts it to net.core.somaxconn
_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; Python has no name for it
SPARE_FILES: Final = 128  # interpreter, log, hub, ledger, event loop, control connections


class SocketError(Exception):
    """A listening socket cannot be had; the message is one line for the user."""


@dataclass(frozen=True, slots=True)
class Sockets:
    """Bound and listening: `listen[row]` for each data-plane process, `admin` for the API."""

    listen: tuple[socket.socket, ...]
    admin: socket.socket

    def close_listen(self, *, shared: bool = False) -> None:
        """No new clients: once the children close theirs too, the port is free.

        `shared` sockets are another balancer's too, so theirs stay as they are.

        What is in an accept queue when its socket closes is reset by the kernel, so the queues
        must dry up first: from now on they drop SYNs, and a client's next try, a second later,
        meets the closed port or the successor.
        """
        for sock in self.listen:
            if sock.fileno() >= 0 and not shared:
                with contextlib.suppress(OSError):  # forbidden here: a few resets, as without it
                    _drop_syns(sock)
            sock.close()

    def close(self) -> None:
        """Close all of them. Whoever shares them notices nothing."""
        self.close_listen(shared=True)
        self.admin.close()


def bind_sockets(listen: str, admin: str, processes: int) -> Sockets:
    """Bind all of them, or none: raises SocketError with the setting and the reason."""
    bound: list[socket.socket] = []
    try:
        # SO_REUSEPORT would share the port with a stranger of the same user, silently. A plain
        # bind first finds out.
        first = _bind("listen", listen, share=False)
        port = first.getsockname()[1]
        first.close()
        listen = f"{listen.rpartition(':')[0]}:{port}"  # port 0 becomes one port for all
        for _ in range(processes):
            bound.append(_bind("listen", listen, share=True))
        bound.append(_bind("admin", admin, share=False))
        for sock in bound:
            sock.listen(BACKLOG)
    except SocketError:
        _close(bound)
        raise
    except OSError as error:  # another took the port between bind and listen
        _close(bound)
        raise SocketError(f"listen {listen}: {error.strerror}") from error
    return Sockets(listen=tuple(bound[:-1]), admin=bound[-1])


def _close(socks: list[socket.socket]) -> None:
    for sock in socks:
        sock.close()


def _bind(setting: str, address: str, *, share: bool) -> socket.socket:
    host, port = split(address)
    try:
        family, kind, proto, _, place = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise SocketError(f"{setting} {address}: {error.strerror}") from error
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(place)
        if not share:
            sock.listen(1)  # two sockets that only bind do not collide; two that listen do
    except OSError as error:
        sock.close()
        raise SocketError(f"{setting} {address}: {_reason(error, port)}") from error
    sock.setblocking(False)
    return sock


def _reason(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is taken by another process"
    if error.errno == errno.EACCES:
        return f"no permission for port {port} (below 1024 needs CAP_NET_BIND_SERVICE)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this machine has no such address"
    return os.strerror(error.errno) if error.errno else str(error)


def _drop_syns(sock: socket.socket) -> None:
    """Attach a filter to a listening socket, and so to every process's copy of it.

    Handshakes that have begun still complete. Classic BPF sees a packet from its TCP header on;
    byte 13 holds the flags (linux/filter.h, struct sock_filter: code, jt, jf, k).
    """
    program = (
        struct.pack("HBBI", 0x30, 0, 0, 13),  # A = flags
        struct.pack("HBBI", 0x54, 0, 0, 0x12),  # A &= SYN | ACK
        struct.pack("HBBI", 0x15, 0, 1, 0x02),  # a SYN alone?
        struct.pack("HBBI", 0x06, 0, 0, 0),  # drop
        struct.pack("HBBI", 0x06, 0, 0, 0xFFFF_FFFF),  # take
    )
    code = ctypes.create_string_buffer(b"".join(program))
    sock.setsockopt(
        socket.SOL_SOCKET,
        _SO_ATTACH_FILTER,
        struct.pack("HP", len(program), ctypes.addressof(code)),
    )


def raise_open_files() -> int:
    """Lift the soft limit of open files to the hard one; returns what holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def fit_limits(limits: Limits, open_files: int) -> Limits:
    """`limits` with no more connections than descriptors: each client may need a target too."""
    room = max(1, (open_files - SPARE_FILES) // 2)
    if open_files == resource.RLIM_INFINITY or limits.connections <= room:
        return limits
    return dataclasses.replace(limits, connections=room)
