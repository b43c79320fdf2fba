"""The same measurement of our code twice: as it stands in the tree, and compiled by `make compile`.

Each runs in a process of its own, because a module is imported once, and on the Python that
`loadtest.peers` runs us on. What it found comes back as JSON on its standard output.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any, Final

from loadtest.peers.contenders import COMPILED_FOLDER
from loadtest.peers.interpreter import best, environment

ROOT: Final = Path(__file__).parents[1]
TIMEOUT_S: Final = 900
TITLES: Final = ("interpreted", "compiled")


def in_both(module: str, *arguments: str) -> dict[str, Any]:
    """What `python -m module arguments` printed, by how it was built.

    Raises RuntimeError when one fails, or when nothing was compiled.
    """
    if not COMPILED_FOLDER.is_dir():
        raise RuntimeError("nothing is compiled; run `make compile` first")
    folders = dict(zip(TITLES, (ROOT, COMPILED_FOLDER), strict=True))
    return {title: _run(folder, module, arguments) for title, folder in folders.items()}


def _run(folder: Path, module: str, arguments: tuple[str, ...]) -> Any:
    program = best()
    done = subprocess.run(
        [program, "-m", module, *arguments],
        cwd=folder,  # comes first on the path: whose services/ these are
        env={**os.environ, **environment(program, ROOT)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} in {folder}: {done.stderr.strip()[-1000:]}")
    return json.loads(done.stdout)
