"""Who the supervisor is, said to those who watch over it: a pid file, and systemd.

After an upgrade it is another process, so both are told when it serves, not when it starts.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_log = logging.getLogger(__name__)


def write_pid_file(path: Path, pid: int) -> None:
    """Put `pid` there, at once for whoever reads. Raises OSError."""
    new = path.with_name(f"{path.name}.{pid}")
    new.write_text(f"{pid}\n")
    new.replace(path)


def remove_pid_file(path: Path, pid: int) -> None:
    """Take the file away, unless it is another's by now."""
    with suppress(FileNotFoundError):
        if path.read_text().strip() == str(pid):
            path.unlink()


def notify(environment: Mapping[str, str], state: str) -> None:
    """Tell systemd, if it listens: sd_notify(3). Raises OSError when it does and cannot be told."""
    place = environment.get("NOTIFY_SOCKET")
    if not place:
        return
    if place.startswith("@"):  # Linux's abstract names
        place = "\0" + place[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), place)


def serving(environment: Mapping[str, str], pid_file: Path | None) -> None:
    """This process is the one to send signals to. Who cannot be told costs a line of the log."""
    pid = os.getpid()
    try:
        if pid_file is not None:
            write_pid_file(pid_file, pid)
        notify(environment, f"READY=1\nMAINPID={pid}")
    except OSError as error:
        _log.error("not announced", extra={"reason": str(error)})
