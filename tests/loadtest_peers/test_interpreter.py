"""Which Python runs our balancer beside the peers, and whether it can."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.peers.interpreter import best, environment


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_the_distributions_is_taken_when_it_is_of_the_same_version(tmp_path: Path) -> None:
    same = script(tmp_path / "same", f'exec "{sys.executable}" "$@"')
    assert best(same) == same


@pytest.mark.parametrize("says", ["echo 2 7 cpython-27", "exit 1"])
def test_another_version_is_not_taken(tmp_path: Path, says: str) -> None:
    assert best(script(tmp_path / "other", says)) == sys.executable


def test_a_missing_one_is_not_taken(tmp_path: Path) -> None:
    assert best(str(tmp_path / "none")) == sys.executable


def test_another_interpreter_finds_the_tree_and_its_packages(tmp_path: Path) -> None:
    first = tmp_path / "first"
    (first / "services").mkdir(parents=True)
    (first / "services" / "__init__.py").write_text("")
    base = script(tmp_path / "base", f'exec "{sys.executable}" -S "$@"')  # without any packages
    found = []
    for folders in ((), (first,)):
        done = subprocess.run(
            [base, "-c", "import services, uvloop; print(services.__file__)"],
            env={**os.environ, **environment(base, *folders)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
        found.append(Path(done.stdout.strip()).is_relative_to(first))
    assert found == [False, True]


def test_our_own_needs_nothing() -> None:
    assert environment(sys.executable) == {}
    assert environment(sys.executable, Path("/x")) == {"PYTHONPATH": "/x"}
