"""That the hot modules can still be compiled: as far as C, which is as far as mypyc can object."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator import compiled
from orchestrator.compiled import BALANCER, CompileError, translate


def test_mypyc_takes_the_hot_modules(tmp_path: Path) -> None:
    translate(tmp_path)
    (whole,) = (tmp_path / "build").glob("*.c")
    assert b"TargetConnection" in whole.read_bytes()


def test_what_it_objects_to_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def one() -> list[Path]:
        return [BALANCER / "dataplane" / "none.py"]

    monkeypatch.setattr(compiled, "hot_modules", one)
    with pytest.raises(CompileError, match=r"none\.py"):
        translate(tmp_path)
