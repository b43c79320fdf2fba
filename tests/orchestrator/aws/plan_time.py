"""How long a plan takes against the emulator, in a fresh process: python -m ...aws.plan_time."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

from orchestrator.localcloud.gaps import filled
from tests.orchestrator.aws.account import an_account

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def main() -> None:
    """Print seconds of the first plan, and of a plan of what exists."""
    keys = patch.dict(os.environ, dict.fromkeys(_KEYS, "testing"))
    with tempfile.TemporaryDirectory() as folder, keys, filled(), an_account(Path(folder)) as made:
        for about in ("first plan, nothing exists", "plan of what exists"):
            begun = time.perf_counter()
            made.plan()
            print(f"{about}: {time.perf_counter() - begun:.2f} s")
            made.up()


if __name__ == "__main__":
    main()
