"""How a command finds the local cloud, or starts it.

The process writes a file into the state folder when it answers, and removes it when it ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from orchestrator import images
from orchestrator.aws.errors import CloudError
from orchestrator.aws.wait import Patience, wait_until
from orchestrator.engine import connected
from orchestrator.localcloud.image import make_image
from orchestrator.localcloud.standing import FILE, LOG, Standing

ENV_SCALE: Final = "CLOUD_SCALE"
REGION: Final = "eu-west-1"
SCALE: Final = 10.0  # five minutes of cloud time are half a minute
_START: Final = Patience(deadline_s=60, pause_s=0.2)
_TIMEOUT_S: Final = 10.0
Report = Callable[[str], None]


def standing(folder: Path) -> Standing | None:
    """The local cloud that answers now, if one does."""
    try:
        known = Standing(**json.loads((folder / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
    try:
        httpx.get(f"{known.endpoint}/moto-api/", timeout=_TIMEOUT_S)
    except httpx.TimeoutException:
        return known  # it is busy: another one would begin by ending its machines
    except httpx.HTTPError:
        return None
    return known


def attach(folder: Path, region: str | None, report: Report, steps: images.Report) -> Standing:
    """The local cloud of this state folder, started where it does not answer.

    Errors:
        CloudError: it does not start, or serves another region.
        EngineError: no Docker engine, or the machines' image cannot be built.
    """
    with _alone(folder):
        known = standing(folder)
        if known is None:
            known = _start(folder, region or REGION, report, steps)
    if region is not None and known.region != region:
        raise CloudError(
            "local cloud",
            f"it is {known.region}, the deployment asks for {region}",
            "steelyard cloud stop ends it and all that is in it",
        )
    return known


def stop(folder: Path, report: Report) -> bool:
    """End it with all that is in it; False: none was there. Raises CloudError."""
    known = standing(folder)
    if known is None:
        return False
    os.kill(known.pid, signal.SIGTERM)
    wait_until(
        "local cloud",
        lambda: "its machines are going" if (folder / FILE).exists() else "",
        report,
        _START,
    )
    return True


def _start(folder: Path, region: str, report: Report, steps: images.Report) -> Standing:
    base = os.environ.get(images.ENV_BASE, images.DEFAULT_BASE)
    with connected() as client:
        image = make_image(client, base, steps)
    report(f"starting the local cloud (log: {folder / LOG})")
    scale = os.environ.get(ENV_SCALE, f"{SCALE:g}")
    command = [sys.executable, "-m", "orchestrator.localcloud", "--state", str(folder)]
    command += ["--image", image, "--region", region, "--scale", scale]
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )

    def missing() -> str:
        if process.poll() is not None:
            raise CloudError("local cloud", f"it ended: {_last_words(folder / LOG)}")
        return "" if standing(folder) is not None else "it does not answer yet"

    wait_until("local cloud", missing, lambda _: None, _START)
    known = standing(folder)
    assert known is not None  # noqa: S101 - just seen
    return known


def _last_words(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return lines[-1] if lines else "without a word"


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two commands at once must not start two."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "local-cloud.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
