"""One started program: tethered to us, in a session of its own, its words in its log file."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.local import tether
from orchestrator.local.plan import Program
from services.contract import ENV_PREFIX

TAIL_BYTES: Final = 16_384


class Running:
    """A program and its process. Start it from the main thread (see `tether`)."""

    def __init__(self, program: Program, process: asyncio.subprocess.Process) -> None:
        self.program = program
        self._process = process

    def __repr__(self) -> str:
        state = "running" if self.returncode is None else f"ended {self.returncode}"
        return f"<{self.program.name} {self.pid} {state}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; -n where signal n ended it."""
        return self._process.returncode

    async def wait(self) -> int:
        """Its return code, once it has ended. Children that it left behind are killed then."""
        code = await self._process.wait()
        self.send(signal.SIGKILL)
        return code

    def send(self, number: signal.Signals) -> None:
        """A signal to the program and those of its children that share its session."""
        # The usual answer to a signal is that nobody is left to get it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def terminate(self) -> None:
        """Ask the program, and it alone, to end in order. One that still loads ends at once."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)


async def start(program: Program, inherited: Mapping[str, str] = os.environ) -> Running:
    """Start it. Raises OSError when the log cannot be opened or no process can be made."""
    kept = {name: value for name, value in inherited.items() if not name.startswith(ENV_PREFIX)}
    command = (sys.executable, "-I", "-S", tether.__file__, str(os.getpid()), *program.argv)
    with program.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**kept, **program.env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    return Running(program, process)


def last_lines(log: Path, count: int = 8) -> list[str]:
    """The end of a log file, at most TAIL_BYTES of it; empty when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]


def ending(code: int) -> str:
    """A return code in words."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"was ended by {signal.Signals(-code).name}"
        return f"was ended by signal {-code}"
    return "ended" if code == 0 else f"ended with code {code}"
