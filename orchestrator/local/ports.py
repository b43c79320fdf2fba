"""Which ports the fleet takes: the usual ones, or others where somebody else listens already."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"
LAST_PORT: Final = 65_535
SEARCHED: Final = 200  # ports looked at above a taken one
EPHEMERAL: Final = 8  # then this many that the kernel offers


class PortTaken(Exception):
    """A port that the user asked for is taken; the message says which one and what to do."""


@dataclass(frozen=True, slots=True)
class Move:
    """One program that does not get its usual port."""

    name: str
    usual: int
    port: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A port for each name, in the order asked; `moves` names those that differ from the usual."""

    ports: Mapping[str, int]
    moves: tuple[Move, ...]


def is_free(port: int) -> bool:
    """Nobody listens on the port now, on loopback or on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: connections of an earlier run that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:  # in use, or not for us (below 1024): either way not to be had
            return False
    return True


def choose_ports(
    usual: Mapping[str, int],
    *,
    fixed: Mapping[str, int],
    free: Callable[[int], bool] = is_free,
) -> Choice:
    """A free port for each of `usual`; those in `fixed` get exactly what they ask for.

    Raises PortTaken when a fixed port is taken or asked for twice, or no port is free at all.
    """
    ports = dict(usual) | dict(fixed)
    given: set[int] = set()
    for name, port in fixed.items():
        if port in given:
            raise PortTaken(f"port {port} is asked for twice: choose another one for {name}")
        if not free(port):
            raise PortTaken(
                f"port {port} for {name} is taken: stop what listens there, choose another one, "
                "or leave the option out and a free one is found"
            )
        given.add(port)
    moves = []
    for name in usual:
        if name in fixed:
            continue
        wanted = ports[name]
        reserved = given | {ports[other] for other in usual if other != name}
        port = wanted
        if wanted in given or not free(wanted):
            port = next((p for p in _others(wanted) if p not in reserved and free(p)), 0)
            if not port:
                raise PortTaken(f"no free port for {name}: {wanted} and those near it are taken")
            moves.append(Move(name, wanted, port))
        ports[name] = port
        given.add(port)
    return Choice({name: ports[name] for name in usual}, tuple(moves))


def _others(wanted: int) -> Iterator[int]:
    """Ports to try instead: the ones above, so that they are easy to recognize, then any."""
    yield from range(wanted + 1, min(wanted + SEARCHED, LAST_PORT) + 1)
    for _ in range(EPHEMERAL):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind((HOST, 0))
            offered: int = probe.getsockname()[1]
        yield offered
