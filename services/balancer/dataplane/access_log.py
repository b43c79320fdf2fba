"""The access log: a JSON line for each request, to a file or standard output, in nobody's way.

Lines gather in memory and go, a batch ten times a second, to a thread whose only work is to write
them. What does not fit while that thread waits (a full disk, a pipe that nobody reads) is dropped
and counted. Processes may share a file: each write is of whole lines and appends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from queue import SimpleQueue
from typing import Final

import msgspec

from services.balancer.config import AccessLog as Settings
from services.balancer.ledger import ProcessCell

STANDARD_OUTPUT: Final = "-"
FLUSH_S: Final = 0.1
CLOSE_S: Final = 1.0  # for the last lines, when the process ends
_PIPE_BYTES: Final = 4_096  # PIPE_BUF: as much as a pipe takes in one piece
_FILE_BYTES: Final = 1 << 20
_PATH_BYTES: Final = 1_024  # of a request's path; the rest is cut off
_TOGETHER: Final = 64  # lines are made into text so many at a time: one by one, each costs more

_DROPPED: Final = ProcessCell.ACCESS_LINES_DROPPED

_log = logging.getLogger(__name__)
_encoder: Final = msgspec.json.Encoder()


class Line(msgspec.Struct, gc=False):
    """One request, in the order of the written fields; times are in seconds."""

    arrival: float  # since 1970
    request_id: str
    method: str | None
    path: str | None
    cluster: str | None
    target: str | None
    attempts: int
    pending: int | None
    connect_s: float | None
    first_byte_s: float | None
    total_s: float
    status: int | None
    ended: str


class AccessLog:
    """Takes lines from the loop's thread; `dropped` ones are in no file.

    Resource handling: a thread and a descriptor until `close`. Error handling: a path that cannot
    be opened is logged once for each try; lines are dropped until `reopen`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        cells: memoryview,
    ) -> None:
        self.settings = settings
        self.lines = 0
        self._cells = cells
        # What earlier logs counted, and the process before this one.
        self._before = (int(cells[ProcessCell.ACCESS_LINES]), int(cells[_DROPPED]))
        self._loop = loop
        self._clock = clock
        self._batch: list[Line] = []
        self._text: list[bytes] = []  # what of the batch has been made into text
        self._text_lines = 0
        self._refused = 0  # written by the loop's thread alone
        self._taken_bytes = 0  # likewise
        self._lost = 0  # written by the writing thread alone
        self._done_bytes = 0  # likewise
        self._queue: SimpleQueue[tuple[bytes, int] | None] = SimpleQueue()
        self._torn = False  # the last write ended inside a line
        self._reopen = True
        self._unix = time.time() - clock()
        self._thread = threading.Thread(target=self._write_all, name="access-log", daemon=True)
        self._thread.start()
        self._timer = loop.call_later(FLUSH_S, self._on_timer)

    @property
    def dropped(self) -> int:
        """Lines that are in no file."""
        return self._refused + self._lost

    def publish(self) -> None:
        """Write the counts where the control plane reads them."""
        self._cells[ProcessCell.ACCESS_LINES] = self._before[0] + self.lines
        self._cells[_DROPPED] = self._before[1] + self.dropped

    def unix_s(self, now: float) -> float:
        """Seconds since 1970 of a time of the monotonic clock."""
        return self._unix + now

    def add(self, line: Line) -> None:
        """One more. Never waits."""
        batch = self._batch
        batch.append(line)
        if len(batch) >= _TOGETHER:
            self._gather()

    def _gather(self) -> None:
        """Make text of the batch; whole lines of it that find no room are dropped."""
        count = len(self._batch)
        text = _encoder.encode_lines(self._batch)
        self._batch.clear()
        room = self.settings.buffer_bytes - (self._taken_bytes - self._done_bytes)
        if len(text) > room:
            text = text[: text.rfind(b"\n", 0, max(room, 0)) + 1]
            kept = text.count(b"\n")
            self._refused += count - kept
            count = kept
        self._taken_bytes += len(text)
        self.lines += count
        self._text.append(text)
        self._text_lines += count

    def flush(self) -> None:
        """Hand what there is to the writing thread."""
        if self._batch:
            self._gather()
        if self._text_lines:
            self._queue.put((b"".join(self._text), self._text_lines))
        self._text.clear()
        self._text_lines = 0

    def reopen(self) -> None:
        """The file was moved away: open its path anew, before the next batch."""
        self.flush()
        self._reopen = True

    def close(self) -> None:
        """Write what is left, for at most `CLOSE_S`, and end the thread."""
        self._timer.cancel()
        self.flush()
        self._queue.put(None)
        self._thread.join(CLOSE_S)
        self.publish()

    def _on_timer(self) -> None:
        self._timer = self._loop.call_later(FLUSH_S, self._on_timer)
        self._unix = time.time() - self._clock()  # the wall clock may be set while we run
        self.flush()

    # -- the writing thread ------------------------------------------------------------------------

    def _write_all(self) -> None:
        fd = -1
        while (batch := self._queue.get()) is not None:
            if self._reopen:
                self._reopen = False
                fd = self._opened(fd)
            data, lines = batch
            self._lost += self._write(fd, data, lines)
            self._done_bytes += len(data)
        if fd > 2:
            os.close(fd)

    def _opened(self, old: int) -> int:
        """The descriptor to write to from now on; the old one when there is no new one."""
        path = self.settings.path
        if path == STANDARD_OUTPUT:
            return 1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            problem = f"{error.strerror}: {path}"
            _log.error("the access log cannot be opened", extra={"problem": problem})
            return old
        if old >= 0:
            os.close(old)
        return fd

    def _write(self, fd: int, data: bytes, lines: int) -> int:
        """Write whole lines; gives how many were lost."""
        try:
            most = _FILE_BYTES if stat.S_ISREG(os.fstat(fd).st_mode) else _PIPE_BYTES
            for piece in pieces(data, most):
                left = b"\n" + piece if self._torn else piece
                self._torn = True  # until all of it is out: a full disk may cut a write
                while left:
                    left = left[os.write(fd, left) :]
                self._torn = False
                lines -= piece.count(b"\n")
        except OSError:
            return lines
        return 0


def follow(
    log: AccessLog | None,
    settings: Settings | None,
    *,
    loop: asyncio.AbstractEventLoop,
    clock: Callable[[], float],
    cells: memoryview,
) -> AccessLog | None:
    """The log that is asked for now; the same as before is opened anew (its file may have moved).

    `cells` are those of the process, by ProcessCell.
    """
    if log is not None and log.settings == settings:
        log.reopen()
        return log
    if log is not None:
        log.close()
    return None if settings is None else AccessLog(settings, loop=loop, clock=clock, cells=cells)


def pieces(data: bytes, most: int) -> Iterator[bytes]:
    """Whole lines together, of at most `most` bytes (a longer line goes by itself)."""
    at = 0
    while at < len(data):
        end = len(data)
        if end - at > most:
            end = (data.rfind(b"\n", at, at + most) + 1) or (data.index(b"\n", at) + 1)
        yield data[at:end]
        at = end


def micro(time_s: float) -> float:
    """Cut off below a microsecond: nobody reads sixteen digits."""
    return int(time_s * 1e6) / 1e6


def path_of(line: bytes, method: bytes) -> str:
    """The path of a request line, without its query, which may hold what nobody should read."""
    start = len(method) + 1
    path = line[start : line.find(b" ", start)].partition(b"?")[0]
    return path[:_PATH_BYTES].decode()
