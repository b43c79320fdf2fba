"""Which Python runs our balancer beside the peers.

The peers are the distribution's packages, built with its care. So is its Python: optimized by a
profile, which one that was built from source here usually is not, and that is worth a seventh to a
sixth of all that a request costs. It is taken when it is of the same version as the one that runs
this, because then it can load the same packages; else what runs this runs the balancer, too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DISTRIBUTION: Final = "/usr/bin/python3"
_SAY: Final = "import sys; print(*sys.version_info[:2], sys.implementation.cache_tag)"


def best(distribution: str = DISTRIBUTION) -> str:
    """The path of the interpreter to take."""
    return distribution if _said(distribution) == _said(sys.executable) else sys.executable


def environment(program: str, *first: Path) -> dict[str, str]:
    """What `program` needs to find this tree and its packages; `first` goes before both."""
    folders = [*first]
    if program != sys.executable:
        folders += [ROOT, Path(sysconfig.get_path("purelib"))]
    return {"PYTHONPATH": os.pathsep.join(map(str, folders))} if folders else {}


def _said(program: str) -> str:
    try:
        said = subprocess.run(
            [program, "-c", _SAY], capture_output=True, text=True, check=False, timeout=10
        )
    except OSError:
        return ""
    return said.stdout
