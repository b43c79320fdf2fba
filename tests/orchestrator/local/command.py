"""A `steelyard` command under test: its words as they come, and every process it has started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Self

DEADLINE_S = 30.0
MARK = "FLEET_TEST_MARK"


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Look until it is so. Fails with `what` when time is up."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.01)  # another process sets no event of ours


class Command:
    """Start it, look at it, signal it. Leaving the block kills whatever is left."""

    def __init__(self, *argv: str, env: dict[str, str] | None = None) -> None:
        self.mark = uuid.uuid4().hex
        self._argv = [sys.executable, *argv]
        self._env = {**os.environ, MARK: self.mark, **(env or {})}
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._argv,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()
        self._reader.join()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _read(self) -> None:
        if self.process.stdout is not None:
            self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def pids(self) -> list[int]:
        """Every living process that was started by this command, itself included."""
        sign = f"{MARK}={self.mark}".encode()
        found = []
        for environ in Path("/proc").glob("[0-9]*/environ"):
            try:
                text = environ.read_bytes()
            except OSError:
                continue  # gone meanwhile
            if sign in text.split(b"\0"):
                found.append(int(environ.parent.name))
        return sorted(found)

    def pids_of(self, word: str) -> list[int]:
        """Those whose command line contains `word`."""
        found = []
        for pid in self.pids():
            try:
                if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.append(pid)
            except OSError:
                continue
        return found

    def wait_for(self, text: str) -> None:
        """Until it has said so."""
        try:
            wait_until(lambda: text in self.output or self.process.poll() is not None, text)
            # It may have said so with its last breath: the reader is a moment behind.
            wait_until(lambda: text in self.output, text, deadline_s=2.0)
        except AssertionError as error:
            raise AssertionError(f"{error}; it said:\n{self.output}") from None

    def wait(self) -> int:
        """Its exit code; nothing that it started is left by then."""
        code = self.process.wait(timeout=DEADLINE_S)
        left = self.pids()
        assert left == [], f"left running: {left}\n{self.output}"
        self._reader.join()
        return code
