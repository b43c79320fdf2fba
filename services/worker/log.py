"""JSON lines to standard output, never in the way of a request.

Lines are collected for a moment and written by one thread, so that a reader of our output who
stalls costs log lines (counted), never latency.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from typing import Final

FLUSH_INTERVAL_S: Final = 0.1
MAX_WAITING_LINES: Final = 20_000  # in one batch, about 4 MB
MAX_WAITING_BATCHES: Final = 8

CallLater = Callable[[float, Callable[[], None]], object]


class LineLog:
    """A bounded, batched writer of lines to the descriptor `fd`.

    `write` belongs to the event loop's thread. Resource handling: `close` flushes and ends the
    thread, waiting at most `timeout_s`.
    """

    def __init__(self, fd: int = 1) -> None:
        self._fd = fd
        self._lines: list[str] = []
        self._batches: queue.Queue[bytes | None] = queue.Queue(MAX_WAITING_BATCHES)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()
        self._call_later: CallLater | None = None
        self._armed = False
        self.dropped = 0

    def attach(self, call_later: CallLater) -> None:
        """Collect lines from now on and flush them by `call_later(delay_s, callback)`."""
        self._call_later = call_later

    def detach(self) -> None:
        """The event loop ends: flush, and write every further line at once."""
        self._call_later = None
        self.flush()

    def write(self, line: str) -> None:
        """Queue one line (without its end); dropped and counted when the reader has stalled."""
        if len(self._lines) >= MAX_WAITING_LINES:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._call_later is None:
            self.flush()
        elif not self._armed:
            self._armed = True
            self._call_later(FLUSH_INTERVAL_S, self.flush)

    def event(self, event: str, **fields: object) -> None:
        """Write one line about the worker itself, e.g. {"event": "listening", "port": 8000}."""
        self.write(json.dumps({"time": timestamp(time.time()), "event": event, **fields}))

    def flush(self) -> None:
        """Hand what has been collected to the writing thread."""
        self._armed = False
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        try:
            self._batches.put_nowait(("\n".join(lines) + "\n").encode())
        except queue.Full:
            self.dropped += len(lines)

    def close(self, timeout_s: float = 1.0) -> None:
        """Flush, then end the thread; what a stalled reader does not take in time is lost."""
        self.flush()
        try:
            self._batches.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            try:
                while batch:
                    batch = batch[os.write(self._fd, batch) :]
            except OSError:
                return  # nobody reads any more; what comes now is dropped at the bound


class EventHandler(logging.Handler):
    """Brings the server's own warnings into the same JSON lines."""

    def __init__(self, log: LineLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write `record` as one line; a traceback becomes one field."""
        fields: dict[str, object] = {"level": record.levelname.lower()}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        self._log.event(record.getMessage(), **fields)


def timestamp(at_s: float) -> str:
    """Return the Unix time `at_s` in RFC 3339, UTC, with milliseconds."""
    whole = int(at_s)
    return f"{_second(whole)}.{int((at_s - whole) * 1000):03d}Z"


@functools.lru_cache(4)
def _second(whole_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole_s))


@functools.lru_cache(256)
def quoted(text: str) -> str:
    """Return `text` as a JSON string; texts that come again cost nothing."""
    return json.dumps(text)
