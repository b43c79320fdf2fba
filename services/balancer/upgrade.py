"""Binary upgrade: another supervisor, of the code that lies there now, takes over the sockets.

    old, at SIGUSR2                         its successor
    starts it with what it inherits   ->    reads the file, starts children on the same sockets
                                      <-    "ready": every child serves
    stops accepting, drains, exits 0        goes on alone

As nginx does it (USR2, then WINCH and QUIT) and HAProxy (-sf with -x), in one step. The sockets
stay open throughout, so no accept queue is lost; for a moment both accept. A successor that fails
before it is ready costs nothing: the old one never stopped. What is inherited lies in a memory
file, and the descriptors keep their numbers.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import msgspec

from services.balancer.children import describe_exit
from services.balancer.config import Config
from services.balancer.messages import TargetPicture
from services.balancer.sockets import Sockets

READY_S: Final = 60.0  # for a successor to serve; the first picture may wait for a slow source
LINGER_S: Final = 5.0  # nobody is in a hurry: idle clients of the old one are not cut off at once
OPTION: Final = "--take-over-fd"
NEED_RESTART: Final = ("listen", "admin", "processes")  # what sockets and memory were made for
_READY: Final = b"ready"

_log = logging.getLogger(__name__)


class TakeOverError(Exception):
    """What was left behind cannot be used; the message is one line for the user."""


class _Will(msgspec.Struct, frozen=True):
    """What lies in the memory file. Both versions must understand it: grow it, do not change it."""

    listen: tuple[int, ...]  # descriptors
    admin: int
    ready: int
    settings: dict[str, str]
    picture: msgspec.Raw


def needs_restart(before: dict[str, str], config: Config) -> tuple[str, ...]:
    """The settings that differ and that neither a reload nor a successor can change."""
    return tuple(
        f"{name}: {before[name]} -> {getattr(config, name)} needs a restart; nothing was changed"
        for name in NEED_RESTART
        if before[name] != str(getattr(config, name))
    )


def settings_of(config: Config) -> dict[str, str]:
    """Those settings, to compare with."""
    return {name: str(getattr(config, name)) for name in NEED_RESTART}


class Inheritance:
    """The successor's side: the sockets, the fleet's picture, and how to say that it serves."""

    def __init__(self, fd: int) -> None:
        """Read the memory file. Raises TakeOverError."""
        try:
            with os.fdopen(fd, "rb") as file:
                will = msgspec.json.decode(file.read(), type=_Will)
            self.sockets = Sockets(
                listen=tuple(socket.socket(fileno=number) for number in will.listen),
                admin=socket.socket(fileno=will.admin),
            )
        except (OSError, msgspec.MsgspecError) as error:
            raise TakeOverError(f"{OPTION} {fd}: nothing to take over: {error}") from error
        for number in (*will.listen, will.admin, will.ready):
            os.set_inheritable(number, False)
        self.settings = will.settings
        self._ready = will.ready
        # Another version's picture may be another shape: then the first checks make a new one.
        self.picture: tuple[TargetPicture, ...] = ()
        with suppress(msgspec.MsgspecError):
            self.picture = msgspec.json.decode(will.picture, type=tuple[TargetPicture, ...])
        self.taken = False

    def take(self) -> None:
        """Everything serves: the old one may go. If it is gone already, so much the better."""
        if not self.taken:
            self.taken = True
            with suppress(BrokenPipeError):
                os.write(self._ready, _READY)
            os.close(self._ready)


class Upgrade:
    """One supervisor's part in it, first as a successor perhaps, later with one.

    `on_hand_over()` is called when a successor serves. Resource handling: at most one successor at
    a time; `close` ends one that does not serve yet.
    """

    def __init__(
        self, sockets: Sockets, inherited: Inheritance | None, on_hand_over: Callable[[], None]
    ) -> None:
        self._sockets = sockets
        self._inherited = inherited
        self._on_hand_over = on_hand_over
        self._process: subprocess.Popen[bytes] | None = None
        self._pipe = -1
        self.succeeded = False

    @property
    def shared(self) -> bool:
        """Another supervisor serves on these sockets."""
        return self.succeeded or (self._inherited is not None and not self._inherited.taken)

    @property
    def linger_s(self) -> float:
        """How long idle clients may stay when we end (HAProxy's idle-close-on-response)."""
        return LINGER_S if self.succeeded else 0.0

    def serving(self) -> None:
        """Every child of ours serves: whoever was before us may go."""
        if self._inherited is not None:
            self._inherited.take()

    def start(self, config: Config, picture: Iterable[TargetPicture], busy: str) -> None:
        """Start a successor, unless `busy` says why not. Failures are logged: nothing is lost."""
        if self._process is not None:
            busy = "an upgrade is under way"
        elif os.getpid() == 1:
            busy = "process 1 cannot be succeeded: replace the container"
        if busy:
            _log.error("upgrade refused", extra={"reason": busy})
            return
        try:
            process, self._pipe = _start(self._sockets, config, picture)
        except OSError as error:
            _log.error("upgrade failed, this one stays", extra={"by": str(error)})
            return
        self._process = process
        loop = asyncio.get_running_loop()
        loop.add_reader(self._pipe, self._heard)
        loop.call_later(READY_S, self._give_up, process)
        _log.info("upgrade: successor started", extra={"successor_pid": process.pid})

    def reaped(self, pid: int) -> bool:
        """Whether the dead process was the successor; collects it then."""
        process = self._process
        if process is None or process.pid != pid:
            return False
        by = describe_exit(process.wait())
        if not self.succeeded:
            self._stop_listening()
            self._process = None
            _log.error("upgrade failed, this one stays", extra={"by": by})
        return True

    def close(self) -> None:
        """We end: a successor that does not serve yet ends too."""
        if self._process is not None:
            self._give_up(self._process)
        self._stop_listening()

    def _heard(self) -> None:
        said = os.read(self._pipe, len(_READY))
        self._stop_listening()
        if said == _READY:
            self.succeeded = True
            _log.info("upgrade: the successor serves, this one ends")
            self._on_hand_over()

    def _give_up(self, process: subprocess.Popen[bytes]) -> None:
        if process is self._process and not self.succeeded and process.poll() is None:
            process.terminate()

    def _stop_listening(self) -> None:
        if self._pipe >= 0:
            asyncio.get_running_loop().remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = -1


def _start(
    sockets: Sockets, config: Config, picture: Iterable[TargetPicture]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start our own command line again; returns the process and where it says that it is ready."""
    reading, writing = os.pipe()
    fd = os.memfd_create("steelyard-will")
    try:
        listen = tuple(sock.fileno() for sock in sockets.listen)
        admin = sockets.admin.fileno()
        will = _Will(
            listen=listen,
            admin=admin,
            ready=writing,
            settings=settings_of(config),
            picture=msgspec.Raw(msgspec.json.encode(tuple(picture))),
        )
        with os.fdopen(os.dup(fd), "wb") as file:
            file.write(msgspec.json.encode(will))
        os.lseek(fd, 0, os.SEEK_SET)
        process = subprocess.Popen(
            command(sys.executable, sys.orig_argv, fd),
            stdin=subprocess.DEVNULL,
            pass_fds=(*listen, admin, writing, fd),
        )
    except OSError:
        os.close(reading)
        raise
    finally:
        os.close(writing)
        os.close(fd)
    return process, reading


def command(executable: str, argv: list[str], fd: int) -> list[str]:
    """The command line that started us, for a successor that inherits `fd`."""
    rest = argv[1:]
    while OPTION in rest:  # we are a successor ourselves
        at = rest.index(OPTION)
        del rest[at : at + 2]
    return [executable, *rest, OPTION, str(fd)]
