"""`make compile`: the same source, its hot modules made into machine code by mypyc.

The interpreter is enough to run Steelyard; a C compiler and Python's headers make the data plane
cheaper. The result is a copy of `services/` with extension modules beside the sources, in
`build/compiled`: put that folder first on PYTHONPATH and everything runs as before. The copy is
made afresh when a source is newer, so it never runs old code.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
OUT: Final = ROOT / "build" / "compiled"
BALANCER: Final = Path("services/balancer")
# What a request passes through.
_DATAPLANE: Final = (
    *("accept", "chunked", "client", "deadlines", "errors", "exchange", "failure", "forward"),
    *("forwarding", "heads", "http1", "key", "lines", "logged", "observe", "origins", "plane"),
    *("pool", "probes"),
    *("report", "request_ids", "retry", "route", "tunnel", "unfinished"),
)
_AROUND: Final = ("budget", "cluster", "load", "ramp", "room", "roster", "target")
HOT: Final = (
    *(BALANCER / "dataplane" / f"{name}.py" for name in _DATAPLANE),
    *(BALANCER / f"{name}.py" for name in _AROUND),
)
# The rest of the data plane stays as it is; each with the reason.
PLAIN: Final = {
    "__init__": "holds no code",
    "__main__": "is run by name",
    "access_log": "its lines are msgspec structs, which the interpreter must make",
    "cut": "runs when a drain ends",
    "dial": "runs for a new connection, which costs more than it",
    "process": "runs at the beginning and the end",
    "rules": "runs at a reload",
}
TIMEOUT_S: Final = 900


class CompileError(Exception):
    """The modules could not be compiled; the message says what is missing."""


def hot_modules() -> list[Path]:
    """The modules to compile, relative to the root."""
    policies = sorted((ROOT / BALANCER / "pick").glob("*.py"))
    return [*HOT, *(path.relative_to(ROOT) for path in policies)]


def is_fresh() -> bool:
    """Whether what was compiled last is made of the present sources by this Python."""
    stamp = OUT / ".stamp"
    if not stamp.exists() or stamp.read_text() != sys.version:
        return False
    made = stamp.stat().st_mtime
    return all(path.stat().st_mtime <= made for path in (ROOT / "services").rglob("*.py"))


def compile_hot() -> Path:
    """Compile unless it is done; gives the folder for PYTHONPATH. Raises CompileError."""
    if is_fresh():
        return OUT
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        raise CompileError(f"no C compiler ({compiler}); on Debian: apt-get install gcc")
    if not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        raise CompileError("Python's headers are missing; on Debian: apt-get install python3-dev")
    shutil.rmtree(OUT, ignore_errors=True)
    _run_in(OUT, "-m", "mypyc")
    (OUT / ".stamp").write_text(sys.version)
    return OUT


def translate(folder: Path) -> None:
    """As far as C, in a new folder: does mypyc take the modules? Needs no C compiler.

    Raises CompileError.
    """
    _run_in(folder, "-c", "import sys; from mypyc.build import mypycify; mypycify(sys.argv[1:])")


def _run_in(folder: Path, *command: str) -> None:
    """Run Python with the hot modules as arguments beside a copy of the services."""
    shutil.copytree(
        ROOT / "services", folder / "services", ignore=shutil.ignore_patterns("__pycache__", "*.so")
    )
    done = subprocess.run(
        [sys.executable, *command, *map(str, hot_modules())],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise CompileError(f"mypyc failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")


def main() -> None:
    """Compile, say where it is."""
    try:
        out = compile_hot()
    except CompileError as error:
        sys.exit(f"compile: {error}")
    print(f"compiled: run with PYTHONPATH={out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
